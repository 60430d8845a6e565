"""Near-duplicates with different labels are found among all rows, in shards of any size, whatever copies there are."""

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.params import DecontaminationParams
from pipeline.sources import conflicts, stored_sketches
from pipeline.sources.canonical import CountedRows
from pipeline.sources.near_duplicates import band_shape, sketches
from pipeline.sources.removed import Removed
from pipeline.sources.similarity import shingles
from pipeline.sources.stored import canonical_rows
from tests.unit.source_rows import RAW, WORDS, dataset, part

RULES = DecontaminationParams(min_letters=24, similarity=0.6, shingle_words=2, permutations=64)


def found(texts: list[str], labels: dict[str, int]) -> set[str]:
    """Return which texts conflict, by what the stage does: in files, a shard at a time."""
    with tempfile.TemporaryDirectory() as folder:
        raw = CountedRows([part("rows.csv", texts)])
        rows = canonical_rows(raw, "rows", dataset(**RAW), Removed(), Path(folder))
        own = stored_sketches.StoredSketches(Path(folder) / "sketches", rows, RULES, "local")
        kept = rows.texts_at(np.arange(len(rows)))
        numbers = np.array([labels[text] for text in kept], dtype=np.int32)
        return {kept[i] for i in np.flatnonzero(conflicts.conflicting(rows, own, numbers, RULES))}


def every_pair(texts: list[str], labels: dict[str, int]) -> set[str]:
    """The plain way: each text with each other one."""
    own = sketches(RULES, band_shape(RULES), texts)
    sets = [set(values.tolist()) for values in shingles(texts, RULES.shingle_words)]

    def conflict(i: int, j: int) -> bool:
        candidates = (own[i, 1:] == own[j, 1:]).any() and sets[i]
        differ = labels[texts[i]] != labels[texts[j]] and min(labels[texts[i]], labels[texts[j]]) >= 0
        return bool(candidates) and differ and len(sets[i] & sets[j]) >= RULES.similarity * len(sets[i] | sets[j])

    return {text for i, text in enumerate(texts) if any(conflict(i, j) for j in range(len(texts)))}


def resembling(seed: int) -> list[str]:
    """Return distinct texts, most of them like another one in words, signs or case."""
    chance = random.Random(seed)
    texts = [" ".join(chance.choices(WORDS, k=chance.choice([1, 8, 8]))) for _ in range(10)]
    for text in chance.choices(texts, k=25):
        words = text.split()
        words[chance.randrange(len(words))] = chance.choice(WORDS)
        texts.append(chance.choice([text.upper(), f"{text}!", " ".join(words), f"{text} {chance.choice(WORDS)}"]))
    return list(dict.fromkeys([*texts, "...", "!!"]))


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([4, 1000]), st.sampled_from([1, 5, 1000]))
def test_what_is_found_is_what_a_comparison_of_every_pair_finds(seed: int, shard: int, pairs: int) -> None:
    texts, chance = resembling(seed), random.Random(seed)
    labels = {text: chance.choice([-1, 0, 0, 1, 2]) for text in texts}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_sketches, "SHARD_ROWS", shard)
        patch.setattr(conflicts, "PAIRS_AT_ONCE", pairs)
        assert found(texts, labels) == every_pair(texts, labels)


def test_some_of_these_texts_conflict_and_some_do_not() -> None:
    texts = resembling(0)
    labels = {text: i % 2 for i, text in enumerate(texts)}
    assert 5 < len(found(texts, labels)) < len(texts) - 2
    assert not found(texts, dict.fromkeys(texts, 1))
