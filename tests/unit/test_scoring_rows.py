"""Rows of files that may be damaged: each is read or comes back with its reason, none is lost, nothing is held."""

import csv
import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.types import DataType

from pipeline.files import InputError
from pipeline.scoring import lines
from pipeline.scoring.rows import Columns, Row
from pipeline.scoring.tables import open_table

TEXT = Columns({"text": "text"}, (), {"label": DataType.string})


def read(path: Path, columns: Columns = TEXT) -> list[Row]:
    return list(open_table(path, columns).rows())


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def outcomes(rows: list[Row]) -> list[str]:
    """What came of each row: its text, or the reason in brackets."""
    return [f"({row.reason})" if row.reason else row.texts["text"] for row in rows]


def test_damaged_csv_rows_are_named_and_those_around_them_read(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfid,text\r\n1,"two\nlines"\r\n\r\n2\r\n3,a,b\r\n4, \r\n5,"open\r\n6,fine\r\n'
    content += b'7,"x"y\r\n8,caf\xe9\r\n9,"a ""b"""'
    rows = read(written(tmp_path / "a.csv", content))
    assert outcomes(rows) == [
        "two\nlines",
        "(1 fields, expected 2, as in the header)",
        "(3 fields, expected 2, as in the header)",
        "(text is blank, expected words)",
        """(broken quote or line ending (',' expected after '"'))""",
        "fine",
        """(broken quote or line ending (',' expected after '"'))""",
        "(byte 0xe9 at character 5 is not UTF-8)",
        'a "b"',
    ]
    assert [row.number for row in rows] == list(range(1, 10))
    assert [row.found for row in rows if row.reason] == ["2", "3,a,b", "4, ", '5,"open', '7,"x"y', "8,caf\\xe9"]
    assert rows[-1].end == len(content)


def test_a_quote_that_is_never_closed_spoils_its_line_alone(tmp_path: Path) -> None:
    many = "".join(f"{row},{'word ' * 20}\n" for row in range(20_000))
    rows = read(written(tmp_path / "a.csv", f'id,text\n1,"never\n{many}2,"nor this\n3,last\n'))
    assert len(rows) == 20_003
    assert [row.reason for row in rows if row.reason] == [
        "a field of more than 1,000,000 characters, or a quote that is never closed",
        "a quote that is never closed",
    ]
    assert rows[-1].texts == {"text": "last"}


def test_a_quote_is_a_character_in_tsv(tmp_path: Path) -> None:
    rows = read(written(tmp_path / "a.tsv", 'id\ttext\n1\t"so\n2\tit "is\n'))
    assert outcomes(rows) == ['"so', 'it "is']


def test_damaged_json_rows_are_named_and_those_around_them_read(tmp_path: Path) -> None:
    deep = "[" * 100_000
    content = [
        '{"text": "a"}',
        "",
        '{"text": 3}',
        '{"text": null}',
        "{}",
        "{",
        "[1]",
        deep,
        '{"text": "\\ud800"}',
        '{"text": "é"}',
    ]
    rows = read(written(tmp_path / "a.jsonl", "\n".join(content).encode() + b'\n{"text": "\xff"}\n'))
    assert outcomes(rows) == [
        "a",
        "(text is int, expected text)",
        "(no text)",
        "(no text)",
        "(not JSON (Expecting property name enclosed in double quotes on line 2))",
        "(a list, expected an object)",
        "(brackets nested too deep or a number of thousands of digits)",
        "(holds half of a surrogate pair, expected Unicode text)",
        "é",
        "(byte 0xff at character 10 is not UTF-8)",
    ]


def test_a_line_too_long_to_be_read_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 50)
    long = "x" * 170
    for name, content, kept in (
        ("a.csv", f"id,text\n1,a\n2,{long}\n3,b\n", "3,b"),
        ("a.jsonl", f'{{"text": "a"}}\n{{"text": "{long}"}}\n{{"text": "b"}}\n', '{"text": "b"}'),
    ):
        rows = read(written(tmp_path / name, content))
        assert outcomes(rows) == ["a", "(a line of over 50 bytes)", "b"]
        assert rows[-1].found == kept and rows[-1].end == len(content)


def test_parquet_rows_keep_their_types_and_bad_texts_are_named(tmp_path: Path) -> None:
    texts = pa.Array.from_buffers(
        pa.string(), 4, [None, pa.array([0, 1, 2, 2, 4], pa.int32()).buffers()[1], pa.py_buffer(b"a\xff b")]
    )
    table = pa.table(
        {"when": pa.array([1, 2, 3, None], pa.timestamp("ns")), "text": texts, "more": [[1], [], None, [2]]}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows = read(tmp_path / "a.parquet")
    assert outcomes(rows) == ["a", "(text is bytes, expected text)", "(text is blank, expected words)", " b"]
    assert json.loads(rows[1].found) == {"when": "1970-01-01 00:00:00.000000002", "more": []}
    assert pa.Table.from_batches([rows[0].kept, rows[3].kept]).equals(table.take([0, 3]))
    numbers = tmp_path / "numbers.parquet"
    pq.write_table(pa.table({"text": [1, None]}), numbers)
    assert outcomes(read(numbers)) == ["(text is int, expected text)", "(no text)"]
    pq.write_table(pa.table({"text": pa.array(["a", "b", "a"]).dictionary_encode()}), numbers)
    assert outcomes(read(numbers)) == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "", "a.csv: empty file, expected rows"),
        ("a.csv", "\n\n", "a.csv: empty file, expected rows"),
        ("a.csv", "id,review\n1,a\n", "a.csv: column 'text' is missing, found the columns ['id', 'review']"),
        ("a.tsv", "text\ttext\na\tb\n", "a.tsv: column 'text' is given more than once"),
        (
            "a.csv",
            "text,label\na,b\n",
            "a.csv: column 'label' is one that the output adds; --key chooses what it keeps",
        ),
        ("a.jsonl", '{"text": "a"}\n{"text": "a", "label": 1}\n', "a.jsonl: row 2: column 'label' is one that"),
        ("a.parquet", "PAR1 no more", "a.parquet: not a Parquet file ("),
        ("a.txt", "a\n", "a.txt: expected a file that ends in .parquet, .csv, .tsv, .jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_refused(tmp_path: Path, name: str, content: str, expected: str) -> None:
    with pytest.raises(InputError) as raised:
        read(written(tmp_path / name, content))
    assert str(raised.value).removeprefix(f"{tmp_path}/").startswith(expected)


CELLS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('",\n\r\t '), max_size=8)


@settings(max_examples=150, derandomize=True, database=None, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6))
def test_what_is_kept_of_a_csv_row_is_read_again_from_the_output(tmp_path_factory: Any, rows: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    with open(folder / "a.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("id", "text"), *rows])
    table = open_table(folder / "a.csv", TEXT)
    found = [row for row in table.rows() if not row.reason]
    assert [row.kept for row in found] == [[*row] for row in rows if row[1].strip()]
    table.write(folder / "part", found, [{"label": 'a\r\n"b'}] * len(found))
    table.join([folder / "part"], folder / "out.csv")
    with open(folder / "out.csv", encoding="utf-8", newline="") as file:
        assert [*csv.reader(file, strict=True)] == [
            ["id", "text", "label"], *([*row.kept, 'a\r\n"b'] for row in found)
        ]  # fmt: skip


PIECES = [b"a", b",", b'"', b"\n", b"\r\n", b"\xff", b'1,"x"\n', b"1,y\n", b"\x00"]


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))
def test_every_line_of_a_broken_csv_file_is_in_one_row(tmp_path_factory: Any, content: bytes) -> None:
    rows = read(written(tmp_path_factory.mktemp("csv") / "a.csv", b"id,text\n" + content))
    assert lines_of([row.found for row in rows]) == lines_of([lines.shown(content.decode("utf-8", "surrogateescape"))])


def lines_of(texts: list[str]) -> list[str]:
    return [line.strip("\r") for text in texts for line in text.split("\n") if line.strip()]


def write_csv(path: Path, count: int) -> None:
    path.write_text("id,text\n" + "".join(f"{row},{'word ' * 10}\n" for row in range(count)))


def write_jsonl(path: Path, count: int) -> None:
    path.write_text("".join(json.dumps({"id": row, "text": "word " * 10}) + "\n" for row in range(count)))


def write_parquet(path: Path, count: int) -> None:
    chance = random.Random(0)
    texts = [" ".join(chance.choices(["dull", "warm", "plot", "film"], k=10)) for _ in range(count)]
    pq.write_table(pa.table({"text": texts}), path)


SIZES = [(write_csv, (2_000, 12_000)), (write_jsonl, (2_000, 12_000)), (write_parquet, (30_000, 90_000))]


@pytest.mark.parametrize(("write", "counts"), SIZES)
def test_memory_does_not_grow_with_the_number_of_rows(
    tmp_path: Path, write: Callable[[Path, int], None], counts: tuple[int, int]
) -> None:
    """Of Parquet, whose pages of a megabyte fill first, Arrow's memory is what counts."""
    peaks = []
    for count in counts:
        path = tmp_path / f"{count}.{write.__name__.removeprefix('write_')}"
        write(path, count)
        peaks.append(peak_of_arrow(path) if path.suffix == ".parquet" else peak_of_python(path))
    assert peaks[1] < 1.2 * peaks[0], peaks


def peak_of_python(path: Path) -> int:
    tracemalloc.start()
    for _ in open_table(path, TEXT).rows():
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def peak_of_arrow(path: Path) -> int:
    before = pa.total_allocated_bytes()
    return max(pa.total_allocated_bytes() - before for _ in open_table(path, TEXT).rows())
