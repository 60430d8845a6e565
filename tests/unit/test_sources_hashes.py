"""A run's hash is the polynomial of its numbers, and a set of hashes holds what was put into it and nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.hashes import BASE, KnownHashes, RunHashes

NUMBERS = np.array([3, 1, 4, 1, 5, 9, 2, 6], dtype=np.uint32)


def by_hand(numbers: np.ndarray) -> int:
    return sum(int(number) * pow(BASE, j, 2**64) for j, number in enumerate(numbers)) % 2**64


def test_the_hash_of_every_run_is_the_polynomial() -> None:
    starts, ends = np.triu_indices(len(NUMBERS) + 1)
    expected = [by_hand(NUMBERS[start:end]) for start, end in zip(starts, ends, strict=True)]
    assert RunHashes(NUMBERS).of(starts, ends).tolist() == expected


def test_the_hashes_of_windows_are_those_of_runs() -> None:
    for length in range(1, 11):
        expected = [by_hand(NUMBERS[start : start + length]) for start in range(9 - length)]
        assert RunHashes(NUMBERS).of_windows(length).tolist() == expected


@given(st.lists(st.integers(0, 2**32 - 1)), st.lists(st.integers(0, 2**32 - 1)), st.sampled_from(["uint32", "uint64"]))
def test_a_set_finds_its_own_and_no_others(own: list[int], others: list[int], kind: str) -> None:
    hashes = np.sort(np.array(own, dtype=kind))
    asked = np.array([*others, *own], dtype=kind)
    which, places = KnownHashes(hashes).find(asked)
    assert which.tolist() == [i for i, value in enumerate(asked.tolist()) if value in own]
    assert hashes[places].tolist() == asked[which].tolist()
    assert KnownHashes(hashes).may_hold(asked)[which].all()
