"""Plain text by its lines: a row for each, for the same line of two files, or for a piece of running text."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.files import InputError
from pipeline.params import ColumnsParams, SplitParams
from pipeline.sources.well_formed import check_columns, check_text


def read_lines(path: Path, text: str, columns: ColumnsParams) -> dict[str, list[str]]:
    """Return plain text, one row a line, as the columns `text` and `file`, which is the name of the file."""
    check_columns(path, ["text", "file"], columns)
    lines = [line for _, line in numbered_lines(text)]
    return {"text": lines, "file": [path.name] * len(lines)}


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line and its number, counted from 1; lines end as on any system: LF, CR LF or CR."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        yield number, line.removesuffix("\n")


def read_aligned(first: Path, second: Path, columns: ColumnsParams) -> dict[str, list[str]]:
    """Return the lines of two files as the columns `text` and `target`; lines end with LF and nothing else.

    Raises InputError where one file has more lines than the other.
    """
    check_columns(first, ["text", "target"], columns)
    texts, targets = (check_text(path).removesuffix("\n").split("\n") for path in (first, second))
    if len(texts) != len(targets):
        raise InputError(f"{first}: {len(texts):,} lines, expected as many as the {len(targets):,} of {second}")
    return {"text": texts, "target": targets}


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
