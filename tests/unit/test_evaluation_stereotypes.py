"""What a language model finds likelier: equal to plain loops over transformers' models, and tables that are checked."""

import math
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

from pipeline.evaluation.stereotypes import (
    BATCH_SIZE,
    StereotypePair,
    causal_preference,
    log_likelihood,
    masked_preference,
    preference_shares,
    pseudo_log_likelihood,
    read_pairs,
    shared_positions,
)
from pipeline.files import InputError
from pipeline.objectives.masked_lm import MaskedLMLoss
from tests.tiny_students import says_always

MASK, VOCABULARY = 4, 40
SENTENCE = [2, *range(10, 10 + BATCH_SIZE + 3), 3]  # more places than are read at once


@pytest.fixture(scope="module")
def bert() -> BertForMaskedLM:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return BertForMaskedLM(BertConfig(vocab_size=VOCABULARY, initializer_range=0.5, **shape)).double().eval()


@pytest.fixture(scope="module")
def gpt() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2)).double().eval()


def by_loop(bert: BertForMaskedLM, ids: list[int], positions: list[int]) -> float:
    total = 0.0
    with torch.no_grad():
        for place in positions:
            masked = [*ids[:place], MASK, *ids[place + 1 :]]
            total += float(bert(torch.tensor([masked])).logits[0, place].log_softmax(-1)[ids[place]])
    return total


def test_pseudo_log_likelihood_is_that_of_a_plain_loop(bert: BertForMaskedLM) -> None:
    places = list(range(1, len(SENTENCE) - 1))
    expected = by_loop(bert, SENTENCE, places)
    assert expected < -1  # a model that tells tokens apart
    assert pseudo_log_likelihood(MaskedLMLoss(bert), SENTENCE, places, MASK) == pytest.approx(expected, abs=1e-5)
    assert pseudo_log_likelihood(MaskedLMLoss(bert), SENTENCE, [], MASK) == 0.0


def test_log_likelihood_is_that_of_a_plain_loop(gpt: GPT2LMHeadModel) -> None:
    expected = 0.0
    with torch.no_grad():
        for place in range(1, len(SENTENCE)):
            logits = gpt(torch.tensor([SENTENCE[:place]])).logits[0, -1]
            expected += float(logits.log_softmax(-1)[SENTENCE[place]])
    assert log_likelihood(gpt, SENTENCE) == pytest.approx(expected, abs=1e-5)


def test_only_what_sentences_share_counts(bert: BertForMaskedLM) -> None:
    assert shared_positions([7, 8, 9, 8], [7, 5, 6, 9, 8]) == ([0, 2, 3], [0, 3, 4])
    more, less = [2, 10, 11, 12, 3], [2, 10, 20, 21, 12, 3]
    preference = masked_preference(MaskedLMLoss(bert), {"more": more, "less": less}.__getitem__, MASK)
    expected = by_loop(bert, more, [1, 3]) - by_loop(bert, less, [1, 4])
    assert preference(StereotypePair("more", "less", "age")) == pytest.approx(expected, abs=1e-5)


def test_of_two_sentences_the_likelier_one_has_the_preference(gpt: GPT2LMHeadModel) -> None:
    probabilities = torch.full((VOCABULARY,), 1 / 8 / 37)
    probabilities[[10, 11, 12]] = torch.tensor([1 / 2, 1 / 4, 1 / 8])
    says_always(always := deepcopy(gpt), probabilities.log())
    sentences = {"likely": [2, 10, 10, 3], "less so": [2, 11, 12, 3], "short": [2, 12, 3]}
    preference = causal_preference(always, sentences.__getitem__)
    # both end alike: 1/2 · 1/2 against 1/4 · 1/8, and against 1/8 alone
    found = [preference(StereotypePair("likely", other, "age")) for other in ("less so", "short")]
    assert found == pytest.approx([math.log(8), math.log(2)], abs=1e-6)
    assert preference(StereotypePair("less so", "likely", "age")) == pytest.approx(-math.log(8), abs=1e-6)


def test_equal_sentences_are_equally_likely(bert: BertForMaskedLM, gpt: GPT2LMHeadModel) -> None:
    same = StereotypePair("a", "a", "age")
    assert masked_preference(MaskedLMLoss(bert), lambda text: SENTENCE, MASK)(same) == 0.0
    assert causal_preference(gpt, lambda text: SENTENCE)(same) == 0.0


def test_shares_by_hand() -> None:
    pairs = [StereotypePair("", "", kind) for kind in ("age", "age", "race", "race", "race")]
    found = preference_shares(pairs, [1.0, -1.0, 0.5, 0.1, 0.0], 0.95)  # a tie is no preference
    assert list(found) == ["all", "age", "race"]
    assert [one["share"] for one in found.values()] == [3 / 5, 1 / 2, 2 / 3]
    # Wilson: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n) with p = 1/2, n = 2
    z = 1.959963984540054
    half = z * (1 / 8 + z**2 / 16) ** 0.5 / (1 + z**2 / 2)
    assert found["age"]["interval"] == pytest.approx([0.5 - half, 0.5 + half])


def test_pairs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text('sent_more,sent_less,bias_type\n"Old men, I think, are slow.",Young men are slow.,age\n')
    assert read_pairs(path) == [StereotypePair("Old men, I think, are slow.", "Young men are slow.", "age")]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "no such file"),
        (b"sent_more,bias_type\na,b\n", "no column sent_less, expected sent_more, sent_less, bias_type"),
        (b"sent_more,sent_less,bias_type\na,b,age\nc, ,age\n", "row 2: no sent_less"),
        (b"sent_more,sent_less,bias_type\na,b\n", "row 1: no bias_type"),
        (b"sent_more,sent_less,bias_type\n", "no rows"),
        (b"", "no column sent_more"),
        (b"\xff\xfe\x00", "not a CSV file in UTF-8"),
    ],
)
def test_what_is_no_table_of_pairs_is_named(content: bytes | None, line: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"pairs\.csv: {line}"):
        read_pairs(path)
