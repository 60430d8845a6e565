"""Lines of one file, of two at once, or in pieces: none is lost, moved, or ended by what is no line end."""

import gzip
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.files import InputError
from pipeline.params import ColumnsParams, SplitParams
from pipeline.sources.lines import read_aligned, read_document, splits_by_position

TRANSLATED = ColumnsParams(text="text", target="target")
RAW = ColumnsParams(text="text")


def two(folder: Path, first: str, second: str) -> tuple[Path, Path]:
    (folder / "a.en").write_bytes(first.encode())
    (folder / "a.de.gz").write_bytes(gzip.compress(second.encode()))
    return folder / "a.en", folder / "a.de.gz"


def test_line_after_line_is_text_and_target(tmp_path: Path) -> None:
    first, second = two(tmp_path, "one\u2028\x0b\x85 1\n\ntwo\rII\nthree", "eins\n\u2029\nzwei\ndrei\n")
    (found,) = read_aligned(first, second, TRANSLATED)
    assert found["text"] == ["one\u2028\x0b\x85 1", "", "two\rII", "three"]
    assert found["target"] == ["eins", "\u2029", "zwei", "drei"]


def test_files_of_unlike_length_are_named_with_both_counts(tmp_path: Path) -> None:
    first, second = two(tmp_path, "one\ntwo\n", "eins\nzwei\n\n")
    with pytest.raises(InputError) as error:
        list(read_aligned(first, second, TRANSLATED))
    assert str(error.value) == f"{first}: 2 lines, expected as many as the 3 of {second}"


def test_a_column_that_aligned_files_do_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a.en: column 'reply' \(columns.target\) is missing, found .*'target'"):
        list(read_aligned(*two(tmp_path, "one", "eins"), ColumnsParams(text="text", target="reply")))


def test_pieces_are_of_whole_lines() -> None:
    text = "ab\ncd\r\n\nefghijklm\nn\no"
    assert read_document(Path("play.txt"), text, RAW, 6)["text"] == ["ab\ncd\n", "\n", "efghijklm\n", "n\no"]
    assert read_document(Path("play.txt"), text, RAW, 7)["text"] == ["ab\ncd\n\n", "efghijklm\n", "n\no"]
    assert read_document(Path("play.txt"), "a", RAW, 1) == {"text": ["a"], "file": ["play.txt"]}


LINES = st.lists(st.text("ab\x0b\u2028", max_size=9)).map("\n".join)


@given(LINES, st.integers(1, 20))
def test_pieces_together_are_the_text(text: str, most: int) -> None:
    pieces = read_document(Path("play.txt"), text, RAW, most)["text"]
    assert "".join(pieces) == text
    for piece, behind in pairwise(pieces):
        assert piece.endswith("\n") and (len(piece) <= most or piece.count("\n") == 1)
        assert len(piece) + behind.find("\n") + 1 > most or "\n" not in behind


def test_the_beginning_of_a_text_is_dev_and_its_end_test() -> None:
    pieces = ["x" * 10] * 80 + ["x" * 100] * 2
    splits = list(splits_by_position(pieces, SplitParams(dev=0.1, test=0.2)))
    assert [splits.count(split) for split in ("dev", "train", "test")] == [10, 70, 2]
    assert splits == sorted(splits, key=("dev", "train", "test").index)
    assert set(splits_by_position(pieces, SplitParams(dev=0.0, test=0.0))) == {"train"}
    assert list(splits_by_position(["", None], SplitParams(dev=0.1, test=0.2))) == ["test", "test"]
