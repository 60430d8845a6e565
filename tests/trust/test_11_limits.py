"""Point 11: bombs are refused by a stated limit, in seconds and without the memory they ask for."""

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.files import InputError, explain, one_line
from pipeline.params import ColumnsParams, LocalSource
from pipeline.sources.cleaning import clean_text
from pipeline.sources.reading import read_source
from pipeline.sources.well_formed import MAX_BYTES, MAX_CHARACTERS, MAX_COLUMNS, MAX_DEPTH, MAX_LINES
from pipeline.tokenization.transfer import split_sentences
from tests.trust.fuzzing import peak

COLUMNS = ColumnsParams(text="text", label="label", source=None, spans=None)
RAW = ColumnsParams(text="text", label=None, source=None, spans=None)
MEGABYTE = "x" * 1_000_000


def local(file_format: str) -> LocalSource:
    return LocalSource.model_validate(
        {"kind": "file", "format": file_format, "header": None, "files": None, "origin": None}
    )


def texts_of(file_format: str) -> list[str | None]:
    (rows,) = read_source(local(file_format), Path(f"rows.{file_format}"), COLUMNS)
    return rows.texts


def sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(10**12)


def many_lines(path: Path) -> None:
    path.write_bytes(b"text,label\n" + b"a,0\n" * (MAX_LINES + 1))


def gzipped(line: bytes) -> Callable[[Path], None]:
    """600 MB of one line in half a percent of that."""

    def make(path: Path) -> None:
        megabyte = line * (1_000_000 // len(line))
        with gzip.open(path, "wb", compresslevel=1) as file:
            for _ in range(600):
                file.write(megabyte)

    return make


def many_columns(path: Path) -> None:
    path.write_text(",".join(f"c{i}" for i in range(MAX_COLUMNS)) + ",text,label\n")


def one_long_cell(path: Path) -> None:
    path.write_text(f'text,label\n"{"x" * (MAX_CHARACTERS + 1)}",0\n')


def one_endless_row(path: Path) -> None:
    """No empty line ends it."""
    path.write_bytes(b"a O\n" * 2_000_000)


def endless_row(path: Path) -> None:
    path.write_text("text,label\n" + "," * 5_000_000)


def a_new_key_in_every_row(path: Path) -> None:
    path.write_text("".join(json.dumps({"text": "a", "label": 0, f"k{i}": i}) + "\n" for i in range(20_000)))


def a_new_key_inside(path: Path) -> None:
    path.write_text("".join(json.dumps({"text": "a", "label": 0, "k": [{f"k{i}": i}]}) + "\n" for i in range(20_000)))


def nested(depth: int) -> Callable[[Path], None]:
    brackets = "[" * depth + "]" * depth
    return lambda path: (path.write_text(f'{{"text": "a", "label": 0, "more": {brackets}}}\n'), None)[1]


def copies_of_one_text(path: Path) -> None:
    """18 GB in 43 kB: a dictionary of one text, twenty thousand rows that point to it."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), [MEGABYTE[:900_000]])
    pq.write_table(pa.table({"text": texts, "label": pa.array(np.zeros(20_000, np.int8))}), path)


def compressed_pages(path: Path) -> None:
    """600 MB in a few kilobytes of zstd."""
    rows = pa.table({"text": ["\0" * 1_000_000] * 10, "label": [0] * 10})
    with pq.ParquetWriter(path, rows.schema, compression="zstd", use_dictionary=False) as writer:
        for _ in range(60):
            writer.write_table(rows)


def repeated_numbers(path: Path) -> None:
    """Eleven million rows in a few kilobytes of run lengths."""
    rows = pa.table(
        {"text": pa.array(np.zeros(MAX_LINES + 1, np.int8)), "label": pa.array(np.zeros(MAX_LINES + 1, bool))}
    )
    pq.write_table(rows, path)


def wide_table(path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "label": ["0"]} | {f"c{i}": [0] for i in range(MAX_COLUMNS)}), path)


def lists(path: Path) -> None:
    pq.write_table(pa.table({"text": [["a"] * 1000] * 1000, "label": [0] * 1000}), path)


def copies_of_one_label(path: Path) -> None:
    """The same in a column of lists."""
    copies = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), [MEGABYTE[:900_000]])
    rows = pa.ListArray.from_arrays(pa.array([0, 20_000], pa.int32()), copies)
    pq.write_table(pa.table({"text": ["a"], "topics": rows}), path)


def repeated_labels(path: Path) -> None:
    """Eleven million labels of one row."""
    rows = pa.ListArray.from_arrays(
        pa.array([0, MAX_LINES + 1], pa.int32()), pa.array(np.zeros(MAX_LINES + 1, np.int8))
    )
    pq.write_table(pa.table({"text": ["a"], "topics": rows}), path)


@pytest.mark.parametrize(
    ("file_format", "make", "refusal"),
    [
        ("csv", sparse, rf"1,000,000,000,000 bytes, expected at most {MAX_BYTES:,}"),
        ("text", sparse, rf"1,000,000,000,000 bytes, expected at most {MAX_BYTES:,}"),
        ("csv", many_lines, rf"{MAX_LINES + 2:,} lines, expected at most {MAX_LINES:,}"),
        ("text.gz", gzipped(b"a row of words\n"), rf"[\d,]+ bytes uncompressed, expected at most {MAX_BYTES:,}"),
        ("conll.gz", gzipped(b"a O\n"), rf"[\d,]+ bytes uncompressed, expected at most {MAX_BYTES:,}"),
        ("conll", one_endless_row, rf"row that starts on line 1: more than {MAX_CHARACTERS:,} characters"),
        ("slots", one_endless_row, rf"row that starts on line 1: more than {MAX_CHARACTERS:,} characters"),
        ("csv", many_columns, rf"{MAX_COLUMNS + 2:,} columns, expected at most {MAX_COLUMNS:,}"),
        ("csv", one_long_cell, rf"row that starts on line 2: a field of more than {MAX_CHARACTERS:,} characters"),
        ("csv", endless_row, r"row 1 \(line 2\) has 5000001 fields, expected 2"),
        ("jsonl", a_new_key_in_every_row, rf"row \d+: more than {MAX_COLUMNS:,} different keys"),
        ("jsonl", a_new_key_inside, rf"row \d+: more than {MAX_COLUMNS:,} different keys"),
        ("jsonl", nested(MAX_DEPTH), rf"row 1: nested deeper than {MAX_DEPTH} levels"),
        ("jsonl", nested(100_000), r"row 1 \(line 1\): brackets nested too deep"),
        ("parquet", copies_of_one_text, rf"18,000,000,000 bytes of text, expected at most {MAX_BYTES:,}"),
        ("parquet", compressed_pages, rf"600,\d+,\d+ bytes uncompressed, expected at most {MAX_BYTES:,}"),
        ("parquet", repeated_numbers, rf"{MAX_LINES + 1:,} rows, expected at most {MAX_LINES:,}"),
        ("parquet", wide_table, rf"{MAX_COLUMNS + 2:,} columns, expected at most {MAX_COLUMNS:,}"),
        ("parquet", lists, r"column 'text' holds list<.*>, expected text or numbers"),
    ],
)
def test_a_bomb_is_refused_by_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str, make: Callable[[Path], None], refusal: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(f"rows.{file_format}")
    make(path)
    columns = COLUMNS if file_format in ("csv", "jsonl", "parquet") else RAW
    before, started = peak(), time.monotonic()
    with pytest.raises(InputError, match=f"^{path}: {refusal}"):
        list(read_source(local(file_format.removesuffix(".gz")), path, columns))
    assert time.monotonic() - started < 20
    assert peak() - before < 400


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (copies_of_one_label, rf"18,000,000,001 bytes of text, expected at most {MAX_BYTES:,}"),
        (repeated_labels, rf"{MAX_LINES + 1:,} labels, expected at most {MAX_LINES:,}"),
    ],
)
def test_a_bomb_of_lists_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], refusal: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("rows.parquet")
    make(path)
    before, started = peak(), time.monotonic()
    with pytest.raises(InputError, match=f"^{path}: {refusal}"):
        list(read_source(local("parquet"), path, ColumnsParams(text="text", labels="topics")))
    assert time.monotonic() - started < 20
    assert peak() - before < 400


def test_what_is_just_within_the_limits_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nested(MAX_DEPTH - 1)(Path("rows.jsonl"))
    assert texts_of("jsonl") == ["a"]
    Path("rows.csv").write_text("text,label" + "," * (MAX_COLUMNS - 2) + f"\n{MEGABYTE},0" + "," * (MAX_COLUMNS - 2))
    assert texts_of("csv") == [MEGABYTE]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<!--" * 250_000, "<!--" * 250_000),
        ("<!-- a --> b" + "<!--" * 250_000, "b" + "<!--" * 250_000),
        ("&#" + "9" * 1_000_000, "\ufffd"),
        ("&#" + "0" * 1_000_000 + "65;", "A"),
        ("a" + "\u0316\u0301" * 500_000, "\u00e1" + "\u0316" * 15 + "\u0301" * 14),
        ("<b " * 300_000, "<b " * 299_999 + "<b"),
        ("&" * 1_000_000, "&" * 1_000_000),
        ("<b" + " " * 1_000_000, "<b"),
    ],
    ids=["comments", "a comment and more", "digits", "zeros", "accents", "tags", "ampersands", "spaces"],
)
def test_a_megabyte_is_cleaned_in_seconds(text: str, expected: str) -> None:
    started = time.monotonic()
    assert clean_text(text) == expected
    assert time.monotonic() - started < 10


def test_a_row_of_dots_is_split_at_once() -> None:
    started = time.monotonic()
    assert list(split_sentences("a" + "." * 100_000 + "b. Next")) == ["a" + "." * 100_000 + "b.", "Next"]
    assert time.monotonic() - started < 2


def test_an_error_is_one_line_that_a_terminal_shows_harmlessly() -> None:
    hostile = "rows\n.csv: \x1b[2J\x07\u202e\udc80 label 'x'"
    assert str(InputError(hostile)) == r"rows\n.csv: \x1b[2J\x07\u202e\udc80 label 'x'"
    long = str(InputError(f"rows.csv: label {MEGABYTE!r}, expected one of ['a']"))
    assert len(long) < 1000 and long.startswith("rows.csv: label 'xx") and long.endswith("expected one of ['a']")
    assert explain(ValueError(hostile)) == (1, r"ValueError: rows .csv: \x1b[2J\x07\u202e\udc80 label 'x'")
    one_line(hostile).encode()


def test_no_address_shows_its_password() -> None:
    for address in ("https://user:pass@host/x", "postgresql://u:p@ss@host:5/db", "see http://:token@host, or a://b@c"):
        shown = one_line(f"{address}: refused")
        assert not any(secret in shown for secret in ("user", "pass", "p@ss", "token", "b@"))
        assert "://" in shown and "refused" in shown
    assert one_line("mail me@here.org: https://host/a@b") == "mail me@here.org: https://host/a@b"
