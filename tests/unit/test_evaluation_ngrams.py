"""Counted characters: probabilities worked out by hand, which add up to 1."""

import math

import numpy as np
import pytest

from pipeline.evaluation.ngrams import END, SYMBOLS, Written, character_ngram, character_unigram, ngram_nats


def written(*texts: str) -> Written:
    return Written(texts, [None] * len(texts))


def test_probabilities_are_the_hand_computed_ones() -> None:
    # "ab" and its end: 3 symbols of 3 kinds, so that p1 = (1 + 3 / SYMBOLS) / 6 each
    train = written("ab")
    single = (1 + 3 / SYMBOLS) / 6
    assert ngram_nats(train, written("a"), 1)[1].tolist() == pytest.approx([-2 * math.log(single)])
    # after "a" comes "b" once: p2(b | a) = (1 + p1(b)) / 2, p2(end | a) = p1(end) / 2; a text begins with "a"
    begin, after_a, end_after_a = (1 + single) / 2, (1 + single) / 2, single / 2
    found = ngram_nats(train, written("ab", "a"), 2)[2]
    assert found.tolist() == pytest.approx(
        [-math.log(begin * after_a * (1 + single) / 2), -math.log(begin * end_after_a)]
    )


def test_probabilities_of_all_symbols_after_a_context_add_up_to_one() -> None:
    train = written("the theatre", "there then", "thé")
    known = sorted(set("".join(train.texts)))
    asked = [*known, "z"]  # z stands for each of the symbols that were never seen
    texts = [f"th{symbol}" for symbol in asked]
    for order in (1, 2, 3, 5):
        costs = ngram_nats(train, Written([""] * len(texts), texts), order)[order]
        # what it costs to write the last symbol and the end, less the end
        with_end = ngram_nats(train, Written([""], ["th"]), order)[order][0]
        ends = [_end_after(train, text, order) for text in texts]
        last = [math.exp(-(cost - end - _begun(train, order))) for cost, end in zip(costs, ends, strict=True)]
        end = math.exp(-(with_end - _begun(train, order)))
        unseen = SYMBOLS - len(known) - 1
        assert sum(last[:-1]) + end + unseen * last[-1] == pytest.approx(1, abs=1e-9)


def _end_after(train: Written, text: str, order: int) -> float:
    return _cost(train, text, order)[-1]


def _begun(train: Written, order: int) -> float:
    return float(sum(_cost(train, "th", order)[:2]))


def _cost(train: Written, text: str, order: int) -> list[float]:
    """The nats of each symbol of a text and of its end, by definition, one context at a time."""
    symbols, costs = [*map(ord, text), END], []
    streams = [[*[-1] * order, *map(ord, row), END] for row in train.texts]
    for place, symbol in enumerate(symbols):
        before, likely = [*[-1] * order, END, *symbols[:place]], 1 / SYMBOLS  # END: that of the empty prompt
        for size in range(order):
            context = before[len(before) - size :] if size else []
            after = [s[i] for s in streams for i in range(order, len(s)) if s[i - size : i] == context]
            if after:
                likely = (after.count(symbol) + len(set(after)) * likely) / (len(after) + len(set(after)))
        costs.append(-math.log(likely))
    return costs


def test_dev_chooses_the_order_and_a_longer_context_tells_more() -> None:
    train, rows = written(*["abcabcabc"] * 20), written("abcabc")
    assert character_ngram(train, rows, rows)[0] < character_unigram(train, rows)[0]
    orders = ngram_nats(train, rows, 6)
    assert character_ngram(train, rows, rows)[0] == min(orders.values())[0]


def test_of_a_completion_the_prompt_is_read_and_not_counted() -> None:
    train = Written(["question"] * 5, ["yes"] * 5)
    cost = ngram_nats(train, Written(["question", "question"], ["yes", ""]), 6)[6]
    assert np.isfinite(cost).all() and cost[0] < 2 < cost[1] + 2
