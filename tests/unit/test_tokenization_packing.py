"""Packing: full sequences, no padding, no token lost but the stated tail; half of the pairs are real."""

import numpy as np
import pytest

from pipeline.tokenization.packing import IS_NEXT, IS_RANDOM, pack_documents, pack_pairs, pack_stream, packed
from pipeline.tokenization.ragged import TokenRows

CLS, SEP = 1, 2
LENGTH = 16
WIDTH = LENGTH - 3


def documents(*lengths: int) -> TokenRows:
    """Return documents whose ids tell the document (hundreds) and go up by one within it."""
    rows = [[100 * number + 100 + i for i in range(length)] for number, length in enumerate(lengths)]
    return TokenRows.from_rows(rows, [-1] * len(rows), np.dtype(np.uint16))


def test_stream_is_cut_into_framed_sequences() -> None:
    sequences = pack_stream(documents(2, 0, 3), 4, CLS, SEP)
    # the stream: 100 101 SEP | SEP | 300 301 302 SEP
    assert sequences.tolist() == [
        [CLS, 100, 101, SEP],
        [CLS, SEP, SEP, SEP],
        [CLS, 300, 301, SEP],
        [CLS, 302, SEP, SEP],
    ]
    assert sequences.dtype == np.uint16


def test_stream_loses_only_its_tail() -> None:
    rows = documents(37, 5, 1, 60, 22)
    sequences = pack_stream(rows, LENGTH, CLS, SEP)
    stream = [token for row in rows for token in [*row.tolist(), SEP]]
    body = sequences[:, 1:-1].ravel().tolist()
    assert body == stream[: len(body)]
    assert len(stream) - len(body) < LENGTH - 2
    assert (sequences[:, 0] == CLS).all() and (sequences[:, -1] == SEP).all()


def test_documents_are_cut_into_sequences_without_a_frame() -> None:
    sequences = pack_documents(documents(2, 0, 3), 3, SEP)
    assert sequences.tolist() == [[100, 101, SEP], [SEP, 300, 301]]  # 302 and its [SEP] fill no sequence
    assert sequences.dtype == np.uint16
    rows = documents(37, 5, 1, 60, 22)
    stream = [token for row in rows for token in [*row.tolist(), SEP]]
    body = pack_documents(rows, LENGTH, SEP).ravel().tolist()
    assert body == stream[: len(body)] and len(stream) - len(body) < LENGTH


def test_too_little_text_gives_no_sequence() -> None:
    assert pack_stream(documents(3), LENGTH, CLS, SEP).shape == (0, LENGTH)
    assert pack_documents(documents(3), LENGTH, SEP).shape == (0, LENGTH)


@pytest.mark.parametrize("cls", [CLS, None])
def test_documents_in_batches_are_packed_as_all_together(cls: int | None) -> None:
    lengths = [(37, 5), (), (1,), (0, 60), (22,)]
    flat = [length for batch in lengths for length in batch]
    whole, batches, start = documents(*flat), [], 0
    for batch in lengths:
        rows = [whole[start + i].tolist() for i in range(len(batch))]
        batches.append(TokenRows.from_rows(rows, [-1] * len(rows), np.dtype(np.uint16)))
        start += len(batch)
    pieces = [*packed(batches, LENGTH, SEP, cls)]
    assert len(pieces) == len(batches) and {piece.dtype for piece in pieces} == {np.dtype(np.uint16)}
    expected = pack_documents(whole, LENGTH, SEP) if cls is None else pack_stream(whole, LENGTH, cls, SEP)
    assert np.array_equal(np.concatenate(pieces), expected) and len(expected) > 5


def segments(sequence: np.ndarray) -> tuple[list[int], list[int]]:
    first, second = np.flatnonzero(sequence == SEP)
    return sequence[1:first].tolist(), sequence[first + 1 : second].tolist()


def test_half_of_the_pairs_are_real_and_the_real_next_follows() -> None:
    lengths = [50, 13, 12, 90, 26]
    pairs = pack_pairs(documents(*lengths), LENGTH, CLS, SEP, seed=3)
    count = sum(length // WIDTH for length in lengths)
    assert pairs.input_ids.shape == pairs.token_type_ids.shape == (count, LENGTH)
    assert (pairs.labels == IS_RANDOM).sum() == count // 2
    for sequence, types, label in zip(pairs.input_ids, pairs.token_type_ids, pairs.labels, strict=True):
        first, second = segments(sequence)
        assert sequence[0] == CLS and sequence[-1] == SEP
        assert len(first) >= WIDTH // 4 and len(second) >= WIDTH // 4
        assert types.tolist() == [0] * (len(first) + 2) + [1] * (len(second) + 1)
        assert np.diff(first).tolist() == [1] * (len(first) - 1)
        assert np.diff(second).tolist() == [1] * (len(second) - 1)
        if label == IS_NEXT:
            assert second[0] == first[-1] + 1
        else:
            assert second[0] // 100 != first[0] // 100


def test_pairs_depend_on_the_seed_alone() -> None:
    rows = documents(90, 90)
    first, again, other = (pack_pairs(rows, LENGTH, CLS, SEP, seed=seed) for seed in (0, 0, 1))
    assert (first.input_ids == again.input_ids).all() and (first.labels == again.labels).all()
    assert (first.input_ids != other.input_ids).any()


def test_random_segments_need_a_second_document() -> None:
    with pytest.raises(ValueError, match="fewer than two documents have 13 tokens"):
        pack_pairs(documents(90, 12), LENGTH, CLS, SEP, seed=0)
