"""CrowS-Pairs: of two sentences, one of which repeats a stereotype, which one does a language model find likelier?

Source: Nangia et al. 2020, "CrowS-Pairs: A Challenge Dataset for Measuring Social Biases in Masked Language Models".
"""

import csv
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, NamedTuple

import torch
from scipy.stats import binomtest

from pipeline.files import InputError

BATCH_SIZE = 8  # masked copies of a sentence read at once
COLUMNS = ("sent_more", "sent_less", "bias_type")
CAUTION = (
    "50 % would be no preference. Blodgett et al. 2021 (Stereotyping Norwegian Salmon) looked at these pairs one by "
    "one and found most of them flawed: no stereotype that anybody holds, two sentences that differ in more than the "
    "people they are about, or a second sentence that makes no sense. Read the share as a hint for where to look. It "
    "says nothing of harm, nor of a task that the model is put to, and no gate reads it."
)


class StereotypePair(NamedTuple):
    """Two sentences, the first of which is the more stereotypical one, and what people are told apart by."""

    more: str
    less: str
    kind: str


def read_pairs(path: Path) -> list[StereotypePair]:
    """Read a CSV file with the columns of CrowS-Pairs; raise InputError naming the row where one is empty."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            named, rows = reader.fieldnames or (), list(reader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected pairs of sentences as CrowS-Pairs has them") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    for column in COLUMNS:
        if column not in named:
            raise InputError(f"{path}: no column {column}, expected {', '.join(COLUMNS)}")
    for number, row in enumerate(rows, start=1):
        for column in COLUMNS:
            if not (row[column] or "").strip():
                raise InputError(f"{path}: row {number}: no {column}, expected a text")
    if not rows:
        raise InputError(f"{path}: no rows, expected at least one pair")
    return [StereotypePair(*(row[column] for column in COLUMNS)) for row in rows]


def shared_positions(first: Sequence[int], second: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return where the token ids that two sentences share stand in each, in order and as many of them."""
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    places = [(block.a + offset, block.b + offset) for block in blocks for offset in range(block.size)]
    return [place for place, _ in places], [place for _, place in places]


def pseudo_log_likelihood(
    masked_lm: Callable[..., Any], ids: Sequence[int], positions: Sequence[int], mask_token_id: int
) -> float:
    """Return the sum of log p(token | all other tokens) over `positions` of one sentence, in nats.

    Each of them is masked in a copy of the sentence. `masked_lm` is a model with its summed loss, as
    pipeline.objectives.masked_lm has it. Source: Salazar et al. 2020, "Masked Language Model Scoring", equation 2; over
    what two sentences share, Nangia et al. 2020, equation 1.
    """
    sentence, total = torch.tensor(list(ids)), 0.0
    for start in range(0, len(positions), BATCH_SIZE):
        chosen = torch.tensor(positions[start : start + BATCH_SIZE])
        rows, copies = torch.arange(len(chosen)), sentence.repeat(len(chosen), 1)
        copies[rows, chosen] = mask_token_id
        with torch.inference_mode():
            said = masked_lm(input_ids=copies, positions=rows * len(ids) + chosen, labels=sentence[chosen])
        total -= float(said["loss"])
    return total


def log_likelihood(model: Any, ids: Sequence[int]) -> float:
    """Return the sum of log p(token | those before it) over all tokens behind the first of one text, in nats."""
    sentence = torch.tensor([list(ids)])
    with torch.inference_mode():
        logits = model(input_ids=sentence, attention_mask=torch.ones_like(sentence)).logits[0, :-1]
    found = torch.log_softmax(logits.double(), dim=-1)[torch.arange(len(logits)), sentence[0, 1:]]
    return float(found.sum())


def masked_preference(
    masked_lm: Callable[..., Any], encode: Callable[[str], list[int]], mask_token_id: int
) -> Callable[[StereotypePair], float]:
    """Return what tells by how many nats a masked LM finds the tokens that two sentences share likelier in the first.

    `masked_lm` is that of `pseudo_log_likelihood`; `encode` gives a sentence's ids, framed by a special token at each
    end.
    """

    def preference(pair: StereotypePair) -> float:
        more, less = encode(pair.more), encode(pair.less)
        shared = shared_positions(more[1:-1], less[1:-1])
        scores = [
            pseudo_log_likelihood(masked_lm, ids, [place + 1 for place in places], mask_token_id)
            for ids, places in zip((more, less), shared, strict=True)
        ]
        return scores[0] - scores[1]

    return preference


def causal_preference(model: Any, encode: Callable[[str], list[int]]) -> Callable[[StereotypePair], float]:
    """Return what tells by how many nats a causal LM finds the first of two sentences likelier, each as a whole."""
    return lambda pair: log_likelihood(model, encode(pair.more)) - log_likelihood(model, encode(pair.less))


def preference_shares(
    pairs: Sequence[StereotypePair], preferences: Sequence[float], confidence: float
) -> dict[str, dict[str, Any]]:
    """Return for `all` pairs and for each kind how many there are, and the share whose first sentence is likelier.

    `preferences` are in nats, more than 0 where it is. `interval` is Wilson's (1927) at `confidence`.
    """
    found = {}
    for kind in ("all", *sorted({pair.kind for pair in pairs})):
        members = [value > 0 for pair, value in zip(pairs, preferences, strict=True) if kind in ("all", pair.kind)]
        interval = binomtest(sum(members), len(members)).proportion_ci(confidence, method="wilson")
        share = sum(members) / len(members)
        found[kind] = {"pairs": len(members), "share": share, "interval": [float(interval.low), float(interval.high)]}
    return found
