"""Plain text by its lines: a row for each, for the same line of two files, or for a piece of running text."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.files import InputError
from pipeline.params import ColumnsParams, SplitParams
from pipeline.sources.blocks import Block, in_blocks
from pipeline.sources.text_files import open_text
from pipeline.sources.well_formed import check_columns


def read_lines(path: Path, columns: ColumnsParams) -> Iterator[Block]:
    """Yield plain text, one row a line, as the columns `text` and `file`, which is the name of the file."""
    names = ["text", "file"]
    check_columns(path, names, columns)
    with open_text(path, newline=None) as file:
        yield from in_blocks(names, ((line.removesuffix("\n"), path.name) for line in file))


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line and its number, counted from 1; lines end as on any system: LF, CR LF or CR."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        yield number, line.removesuffix("\n")


def read_aligned(first: Path, second: Path, columns: ColumnsParams) -> Iterator[Block]:
    """Yield the lines of two files as the columns `text` and `target`; lines end with LF and nothing else.

    Raises InputError where one file has more lines than the other.
    """
    names = ["text", "target"]
    check_columns(first, names, columns)
    with open_text(first, newline="\n") as texts, open_text(second, newline="\n") as targets:
        counts = [sum(1 for _ in file) for file in (texts, targets)]
        if counts[0] != counts[1]:
            raise InputError(f"{first}: {counts[0]:,} lines, expected as many as the {counts[1]:,} of {second}")
        texts.seek(0)
        targets.seek(0)
        pairs = zip(texts, targets, strict=True)
        yield from in_blocks(names, ([line.removesuffix("\n") for line in pair] for pair in pairs))


def read_document(path: Path, text: str, columns: ColumnsParams, piece_characters: int) -> dict[str, list[str]]:
    """Return running text in pieces, as the columns `text` and `file`, which is the name of the file.

    Each piece holds as many whole lines as fit into `piece_characters`, at least one; together they are the text.
    """
    check_columns(path, ["text", "file"], columns)
    pieces: list[str] = []
    lines: list[str] = []
    length = 0
    for line in io.StringIO(text, newline=None):
        if lines and length + len(line) > piece_characters:
            pieces.append("".join(lines))
            lines, length = [], 0
        lines.append(line)
        length += len(line)
    pieces.append("".join(lines))
    return {"text": pieces, "file": [path.name] * len(pieces)}


def splits_by_position(pieces: Sequence[str | None], shares: SplitParams) -> Iterator[str]:
    """Yield the split of each consecutive piece of a text: its beginning is dev, its end test, what lies between train.

    Pieces beside each other speak of the same things, so that split by their hashes they would give dev and test away.
    Dev and test each border on train once: with dev before test, nothing of what the test goes on with would be learnt.
    """
    lengths = [len(piece or "") for piece in pieces]
    total = sum(lengths)
    train, test = shares.dev * total, (1 - shares.test) * total
    end = 0
    for length in lengths:
        end += length
        middle = end - length / 2
        yield "dev" if middle < train else "train" if middle < test else "test"
