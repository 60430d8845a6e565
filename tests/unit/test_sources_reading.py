"""Every format gives the same rows, and every broken file is one line that says where."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.files import InputError
from pipeline.params import ColumnsParams, HubSource, LocalSource, PackageSource
from pipeline.sources.reading import SourceRows, read_source

COLUMNS = ColumnsParams(text="text", label="label", source=None)
TEXTS = ["a plain text", 'he said "no", twice', "NA", "naïve 电影"]
LABELS = ["0", "1", "0", "1"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    return tmp_path


def read(content: bytes | str, file_format: str = "csv", columns: ColumnsParams = COLUMNS) -> SourceRows:
    path = Path(f"data/raw/rows.{file_format}")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_source(LocalSource(kind="file", format=file_format), path, columns)


def parquet(columns: dict[str, list[object]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


CSV = 'id,text,label\n1,a plain text,0\n2,"he said ""no"", twice",1\n\n3,NA,0\n4,naïve 电影,1\n'


@pytest.mark.parametrize(
    ("file_format", "content"),
    [
        ("csv", CSV),
        ("csv", "\ufeff" + CSV.replace("\n", "\r\n")),
        ("tsv", 'text\tlabel\na plain text\t0\nhe said "no", twice\t1\nNA\t0\nnaïve 电影\t1\n'),
        (
            "jsonl",
            "".join(
                json.dumps({"text": t, "label": int(y), "n": i}) + "\n"
                for i, (t, y) in enumerate(zip(TEXTS, LABELS, strict=True))
            ),
        ),
        (
            "jsonl",
            "\ufeff"
            + "".join(
                json.dumps({"text": t, "label": y}, ensure_ascii=False) + "\n"
                for t, y in zip(TEXTS, LABELS, strict=True)
            ),
        ),
        ("parquet", parquet({"text": TEXTS, "label": [0, 1, 0, 1], "more": [[1], [2], [3], [4]]})),
        ("parquet", parquet({"label": [0.0, 1.0, 0.0, 1.0], "text": TEXTS})),
    ],
    ids=["csv", "csv with mark and crlf", "tsv", "jsonl", "jsonl with mark", "parquet", "parquet of floats"],
)
def test_formats_agree(file_format: str, content: bytes | str) -> None:
    rows = read(content, file_format)
    assert (rows.texts, rows.labels, rows.sources) == (TEXTS, LABELS, [None] * 4)
    assert rows.name == f"data/raw/rows.{file_format}"


def test_plain_text_is_one_row_a_line() -> None:
    columns = ColumnsParams(text="text", label=None, source=None)
    assert read('one\ntwo, "three"\r\n\nfour', "text", columns).texts == ["one", 'two, "three"', "", "four"]


def test_a_changed_file_is_read_again() -> None:
    assert read("text,label\nold,0\n").texts == ["old"]
    assert read("text,label\nnew,0\n").texts == ["new"]


@pytest.mark.parametrize("name", ["with [1] brackets*.csv", ".hidden.csv", "__x/a b.csv"])
def test_file_names_are_names_not_patterns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path("project [2]*")
    home.mkdir()
    monkeypatch.chdir(home)
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("text,label\none,0\n")
    assert read_source(LocalSource(kind="file", format="csv"), path, COLUMNS).texts == ["one"]


LONG = "x" * 10_000_000
ROW = '{"text": "a", "label": 0}\n'


@pytest.mark.parametrize(
    ("file_format", "content", "message"),
    [
        ("csv", "", "rows.csv: empty file"),
        ("csv", "\n \n", "rows.csv: empty file"),
        ("csv", "text,label\n", "rows.csv: a header and no rows"),
        (
            "csv",
            "text,class\na,0\n",
            r"column 'label' \(columns.label\) is missing, found the columns \['text', 'class'\]",
        ),
        ("csv", "text,text,label\na,b,0\n", "column 'text' .* is given more than once"),
        ("csv", b"text,label\ngood,0\ncaf\xe9,1\n", "rows.csv: line 3: byte 0xe9 at offset 21 is not UTF-8"),
        ("csv", b"\xef\xbb\xbftext,label\ncaf\xe9,1\n", "rows.csv: line 2: byte 0xe9 at offset 17 is not UTF-8"),
        ("csv", b"text,label\ngood,0\nb\0d,1\n", "rows.csv: line 3: NUL byte at offset 19"),
        ("csv", 'text,label\ngood,0\n"never closed,1\nmore,0\n', "row that starts on line 3: broken quote"),
        ("csv", 'text,label\n"good" one,0\n', "row that starts on line 2: broken quote"),
        ("csv", "text,label\ngood,0\nno, quotes,1\n", r"row 2 \(line 3\) has 3 fields, expected 2"),
        ("csv", f"text,label\n{LONG},0\n", "row that starts on line 2: a field of more than 1,000,000 characters"),
        ("tsv", "text\tlabel\ngood\n", r"row 1 \(line 2\) has 1 fields, expected 2"),
        ("tsv", f"text\tlabel\n{LONG}\t0\n", "line 2: a field of more than 1,000,000 characters"),
        ("jsonl", ROW + "{broken\n", r"rows.jsonl: row 2 \(line 2\): not JSON"),
        ("jsonl", ROW + "\n[1]\n", r"rows.jsonl: row 2 \(line 3\): list, expected a JSON object"),
        ("jsonl", ROW + '{"text": "b"}\n', r"row 2: column 'label' .* is missing, found the columns \['text'\]"),
        ("jsonl", ROW + '{"text": 7, "label": 0}\n', "row 2: 'text' is int, expected str"),
        ("jsonl", ROW + '{"text": "b", "label": "0"}\n', "row 2: 'label' is str, expected int, as in the rows before"),
        ("jsonl", ROW + '{"text": "b", "label": [0]}\n', "row 2: 'label' is list, expected str or int"),
        ("jsonl", ROW + json.dumps({"text": LONG, "label": 0}), "row 2 has 10,000,.* characters, expected at most"),
        ("text", f"one\n{LONG}\n", "row 2 has 10,000,000 characters, expected at most 1,000,000"),
        ("parquet", b"", "rows.parquet: empty file"),
        ("parquet", b"not parquet at all", "rows.parquet: not a Parquet file"),
        ("parquet", parquet({"text": ["a"], "class": [0]}), r"column 'label' .* found the columns \['text', 'class'\]"),
        ("parquet", parquet({"text": [["a"]], "label": [0]}), "column 'text' holds list.*, expected text or numbers"),
        ("parquet", parquet({"text": ["a", LONG], "label": [0, 1]}), "row 2 has 10,000,000 characters"),
        ("parquet", parquet({"text": [], "label": []}), "no rows, expected some"),
    ],
)
def test_a_broken_file_is_named_with_its_place(file_format: str, content: bytes | str, message: str) -> None:
    columns = COLUMNS if file_format != "text" else ColumnsParams(text="text", label=None, source=None)
    with pytest.raises(InputError, match=message) as caught:
        read(content, file_format, columns)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("data/raw/absent.csv", "data/raw/absent.csv: no such file"),
        ("data/raw", "data/raw: is a folder, expected one file"),
        ("../outside.csv", "outside.csv: lies outside the project folder"),
        ("/etc/hostname", "/etc/hostname: lies outside the project folder"),
        ("data/../../outside.csv", "lies outside the project folder"),
    ],
)
def test_a_local_file_lies_in_the_project(path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_source(LocalSource(kind="file", format="csv"), Path(path), COLUMNS)


@pytest.fixture
def package(project: Path, monkeypatch: pytest.MonkeyPatch) -> PackageSource:
    """An installed package whose import fails, so that reading it proves that it was not imported."""
    site = project / "site"
    (site / "toy_rows").mkdir(parents=True)
    (site / "toy_rows/__init__.py").write_text("raise RuntimeError('imported')")
    (site / "toy_rows/rows.csv").write_text("text,label\nhello,1\n")
    (site / "toy_rows-1.0.dist-info").mkdir()
    (site / "toy_rows-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: toy-rows\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(site)
    digest = hashlib.sha256((site / "toy_rows/rows.csv").read_bytes()).hexdigest()
    return PackageSource(kind="package", package="toy-rows", file="toy_rows/rows.csv", format="csv", sha256=digest)


def test_a_package_is_read_and_not_imported(package: PackageSource) -> None:
    assert read_source(package, Path("constraints.txt"), COLUMNS).texts == ["hello"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"package": "no-such-rows"}, "package no-such-rows: not installed"),
        ({"file": "toy_rows/absent.csv"}, "package toy-rows 1.0, file toy_rows/absent.csv: no such file"),
        ({"file": "../data/x.csv"}, "leaves the package"),
        ({"sha256": "0" * 64}, "toy_rows/rows.csv: sha256 is [0-9a-f]{64}, expected 0000"),
    ],
)
def test_a_wrong_package_is_named(package: PackageSource, changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_source(package.model_copy(update=changes), Path("constraints.txt"), COLUMNS)


def test_a_hub_dataset_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    source = HubSource(kind="hub", name="nobody/nothing", configuration=None, split="train", revision="0" * 40)
    with pytest.raises((ConnectionError, InputError), match="nobody/nothing"):
        read_source(source, Path("constraints.txt"), COLUMNS)
