"""How alike two texts are, from counts that rows add to: BLEU and chrF as sacrebleu has them, ROUGE.

BLEU and chrF are those of Post 2018, "A Call for Clarity in Reporting BLEU Scores": of cased texts as people read them,
over all rows at once. Here the counts are kept apart by row, so that rows can be resampled; sacrebleu gives the same.
"""

import functools
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from pipeline.words import words

BLEU_ORDERS, CHRF_ORDERS, CHRF_BETA = range(1, 5), range(1, 7), 2
SCALE = 10**9  # a row's ROUGE, a share, as an integer
HAN = range(0x4E00, 0xA000)


def bleu_counts(actual: Sequence[str], answers: Sequence[str]) -> np.ndarray:
    """Return for each row the words of the answer and of the actual text; n-grams right and given, n from 1 to 4."""
    split = _tokenizer(actual)
    rows = []
    for wanted, given in zip(actual, answers, strict=True):
        pair = [split(text.rstrip()).split() for text in (given, wanted)]
        both = [_overlap(*(_ngrams(tokens, order) for tokens in pair)) for order in BLEU_ORDERS]
        rows.append([*map(len, pair), *(right for right, _, _ in both), *(there for _, there, _ in both)])
    return np.array(rows, dtype=np.int64).reshape(-1, 10)


def bleu(sums: np.ndarray) -> np.ndarray:
    """Return BLEU, between 0 and 1. Source: Papineni et al. 2002, section 2.3.

    Of an order of n-grams of which none is right half of one counts, of the next such order a quarter (Chen & Cherry
    2014, method 3).
    """
    length, wanted = sums[..., 0], sums[..., 1]
    right, given = sums[..., 2:6], sums[..., 6:10]
    halved = 0.5 ** np.cumsum((right == 0) & (given > 0), axis=-1)
    precisions = np.where(right > 0, right, halved) / np.maximum(given, 1)
    brevity = np.exp(np.minimum(0.0, 1 - wanted / np.maximum(length, 1)))
    scored = (right.sum(axis=-1) > 0) & (given > 0).all(axis=-1)
    return np.where(scored, brevity * np.exp(np.log(precisions).mean(axis=-1)), 0.0)


def bleu_signature(actual: Sequence[str]) -> str:
    """Return sacrebleu's signature of the BLEU of these texts, by which others can compute the same."""
    from sacrebleu import __version__

    return f"nrefs:1|case:mixed|eff:no|tok:{_tokenizer_name(actual)}|smooth:exp|version:{__version__}"


def chrf_counts(actual: Sequence[str], answers: Sequence[str]) -> np.ndarray:
    """Return for each row its n-grams of characters but spaces, n from 1 to 6: of each the given, wanted and right."""
    rows = []
    for wanted, given in zip(actual, answers, strict=True):
        pair = ["".join(text.split()) for text in (given, wanted)]
        counts = []
        for order in CHRF_ORDERS:
            right, there, due = _overlap(*(_ngrams(text, order) for text in pair))
            counts += [there if due else 0, due, right]
        rows.append(counts)
    return np.array(rows, dtype=np.int64).reshape(-1, 3 * len(CHRF_ORDERS))


def chrf(sums: np.ndarray) -> np.ndarray:
    """Return chrF2, between 0 and 1. Source: Popović 2015, section 2; orders that one side has none of do not count."""
    given, wanted, right = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)
    counted = (given > 0) & (wanted > 0)
    orders = np.maximum(counted.sum(axis=-1), 1)
    precision = (counted * right / np.maximum(given, 1)).sum(axis=-1) / orders
    recall = (counted * right / np.maximum(wanted, 1)).sum(axis=-1) / orders
    below = CHRF_BETA**2 * precision + recall
    return np.where(below > 0, (1 + CHRF_BETA**2) * precision * recall / np.where(below > 0, below, 1.0), 0.0)


def rouge_counts(order: int | None) -> Callable[[Sequence[str], Sequence[str]], np.ndarray]:
    """Return the function that gives each row's ROUGE-N F1, or ROUGE-L where `order` is None, times SCALE, and SCALE.

    Of words in lower case, not stemmed; marks between them do not count. Source: Lin 2004, sections 2 and 3.1.
    """

    def counts(actual: Sequence[str], answers: Sequence[str]) -> np.ndarray:
        rows = []
        for wanted, given in zip(actual, answers, strict=True):
            pair = [_spoken(text) for text in (given, wanted)]
            if order is None:
                right, there, due = _longest_common(*pair), *map(len, pair)
            else:
                right, there, due = _overlap(*(_ngrams(tokens, order) for tokens in pair))
            rows.append([round(SCALE * 2 * right / (there + due)) if there + due else SCALE, SCALE])
        return np.array(rows, dtype=np.int64).reshape(-1, 2)

    return counts


def rouge(sums: np.ndarray) -> np.ndarray:
    """Return the mean of the rows' ROUGE, between 0 and 1."""
    return np.asarray(sums[..., 0] / sums[..., 1])


def _ngrams(tokens: Sequence[Hashable], order: int) -> Counter[Any]:
    if isinstance(tokens, str):
        return Counter(tokens[start : start + order] for start in range(len(tokens) - order + 1))
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def _overlap(given: Counter[Any], wanted: Counter[Any]) -> tuple[int, int, int]:
    """Return how many are in both, given and wanted."""
    return (given & wanted).total(), given.total(), wanted.total()


def _spoken(text: str) -> list[str]:
    found = (text[start:end].lower() for start, end in words(text))
    return [word for word in found if any(sign.isalnum() for sign in word)]


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    lengths = [0] * (len(second) + 1)
    for word in first:
        before = 0
        for place, other in enumerate(second, start=1):
            above = lengths[place]
            lengths[place] = before + 1 if word == other else max(above, lengths[place - 1])
            before = above
    return lengths[-1]


def _tokenizer_name(actual: Sequence[str]) -> str:
    """Return the one of sacrebleu's tokenizers that fits the actual texts: Chinese has no spaces between words."""
    return "zh" if 2 * sum(any(ord(sign) in HAN for sign in text) for text in actual) > len(actual) else "13a"


def _tokenizer(actual: Sequence[str]) -> Callable[[str], str]:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
    from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

    return functools.cache(TokenizerZh() if _tokenizer_name(actual) == "zh" else Tokenizer13a())
