"""The order of rows in shards: every row once a pass, of a few shards at a time, and the same from any batch on."""

import tracemalloc

import numpy as np
import pytest

from pipeline.tokenization.windows import WindowedBatches

COUNTS = np.array([10, 10, 10, 10, 10, 10, 3])
SHARD = np.repeat(np.arange(7), COUNTS)


def one_pass(window: int = 2, seed: int = 0) -> WindowedBatches:
    return WindowedBatches(COUNTS, window, 4, np.random.default_rng(seed))


@pytest.mark.parametrize("window", [1, 2, 3, 7, 50])
def test_every_row_comes_once_in_full_batches(window: int) -> None:
    batches = [*one_pass(window)]
    assert [len(batch) for batch in batches] == [4] * 15 + [3]
    assert sorted(np.concatenate(batches)) == list(range(63))


@pytest.mark.parametrize("window", [1, 2, 3])
def test_a_window_ends_before_the_next_one_begins(window: int) -> None:
    """So as many shards at hand as a window has are enough, and each is fetched once."""
    order = SHARD[np.concatenate([*one_pass(window)])]
    at_hand: list[int] = []
    fetched = 0
    for shard in order:
        if shard not in at_hand:
            at_hand, fetched = [*at_hand, shard][-window:], fetched + 1
    assert fetched == 7


def test_rows_of_a_window_are_mixed_and_every_pass_has_another_order() -> None:
    first, again, other = (np.concatenate([*one_pass(7, seed)]) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).mean() > 0.8
    assert len(np.unique(SHARD[first[:20]])) > 3  # a window of all shards is a shuffle of all rows
    assert {SHARD[one_pass(1, seed)[0][0]] for seed in range(60)} == set(range(7))


def test_any_batch_can_be_the_first_one() -> None:
    whole = [*one_pass()]
    for number in (15, 4, 5, 0):  # 4 and 9 hold rows of two windows
        assert np.array_equal(one_pass()[number], whole[number])
    with pytest.raises(IndexError):
        one_pass()[16]


def test_memory_holds_the_order_of_one_window_however_long_a_pass_is() -> None:
    """30 billion rows, whose order would be 240 GB."""
    batches = WindowedBatches(np.full(100_000, 300_000), 4, 2_048, np.random.default_rng(0))
    assert len(batches) == 14_648_438
    tracemalloc.start()
    assert len(batches[7_000_000]) == 2_048 and len(batches[len(batches) - 1]) == 30_000_000_000 % 2_048
    assert tracemalloc.get_traced_memory()[1] < 5 * (8 * 4 * 300_000)  # one drawn while the last one is kept
    tracemalloc.stop()
