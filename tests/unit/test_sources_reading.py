"""Every format gives the same rows, and every broken file is one line that says where."""

import gzip
import hashlib
import json
import resource
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.files import InputError
from pipeline.params import ColumnsParams, HubSource, LocalSource, PackageSource
from pipeline.sources.reading import SourceRows, read_source
from pipeline.sources.well_formed import MAX_BYTES

COLUMNS = ColumnsParams(text="text", label="label", source=None, spans=None)
RAW = ColumnsParams(text="text", label=None, source=None, spans=None)
TEXTS = ["a plain text", 'he said "no", twice', "NA", "naïve 电影"]
LABELS = ["0", "1", "0", "1"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    return tmp_path


def local(file_format: str, **changes: object) -> LocalSource:
    values = {"kind": "file", "format": file_format}
    values |= dict.fromkeys(("header", "files", "origin"))
    return LocalSource.model_validate(values | changes)


def read(
    content: bytes | str, file_format: str = "csv", columns: ColumnsParams = COLUMNS, **changes: object
) -> SourceRows:
    path = Path(f"data/raw/rows.{file_format}")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (rows,) = read_source(local(file_format, **changes), path, columns)
    return rows


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


@pytest.mark.parametrize(
    ("file_format", "content"),
    [
        ("csv", "text,label,city,age\na,0,Rome,7\nb,1,,8\n"),
        (
            "jsonl",
            '{"text": "a", "label": 0, "city": "Rome", "age": 7}\n{"text": "b", "label": 1, "city": null, "age": 8}',
        ),
        ("parquet", parquet({"text": ["a", "b"], "label": [0, 1], "city": ["Rome", None], "age": [7, 8]})),
    ],
)
def test_further_columns_are_kept_as_text(file_format: str, content: bytes | str) -> None:
    rows = read(content, file_format, COLUMNS.model_copy(update={"metadata": ["age", "city"]}))
    assert rows.metadata == [(("age", "7"), ("city", "Rome")), (("age", "8"), ("city", ""))]
    assert read(content, file_format).metadata == [None, None]


def test_plain_text_is_one_row_a_line() -> None:
    rows = read('one\ntwo, "three"\r\n\nfour\x0b\u2028five\r', "text", COLUMNS.model_copy(update={"label": "file"}))
    assert rows.texts == ["one", 'two, "three"', "", "four\x0b\u2028five"]
    assert rows.labels == ["rows.text"] * 4, "the file's name may be the label"


@pytest.mark.parametrize(
    ("file_format", "content"),
    [
        ("csv", "text,label\nnaïve,0\n电影,1\n"),
        ("tsv", "\ufefftext\tlabel\nnaïve\t0\n电影\t1\n"),
        ("jsonl", '{"text": "naïve", "label": 0}\n{"text": "电影", "label": 1}\n'),
        ("text", "naïve\n电影\n"),
        ("conll", "naïve O\n\n电影 O\n"),
        ("slots", "naïve O\n0\n\n电影 O\n1\n"),
        ("document", "naïve\n电影"),
    ],
)
def test_every_text_format_may_be_gzipped(file_format: str, content: str) -> None:
    path = Path(f"data/raw/rows.{file_format}.gz")
    path.write_bytes(gzip.compress(content.encode()))
    columns = RAW if file_format in ("text", "conll", "document") else COLUMNS
    more = {"piece_characters": 6} if file_format == "document" else {}
    (rows,) = read_source(local(file_format, **more), path, columns)
    assert [(text or "").strip() for text in rows.texts] == ["naïve", "电影"]
    assert rows.labels == (["0", "1"] if columns is COLUMNS else [None, None])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,label\na,0\n", "rows.csv.gz: not a gzip file"),
        (gzip.compress(b"text,label\n" + b"a,0\n" * 1000)[:-20], "rows.csv.gz: not a gzip file"),
        (gzip.compress(b"text,label\ncaf\xe9,0\n"), "rows.csv.gz: line 2: byte 0xe9 at offset 14 is not UTF-8"),
        (gzip.compress(b"text,label\na,0,1\n"), r"rows.csv.gz: row 1 \(line 2\) has 3 fields, expected 2"),
        (gzip.compress(b""), "rows.csv.gz: empty file"),
    ],
    ids=["not gzip", "cut", "not UTF-8", "too many fields", "empty"],
)
def test_a_broken_gzip_file_is_named(content: bytes, message: str) -> None:
    path = Path("data/raw/rows.csv.gz")
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_source(local("csv"), path, COLUMNS))


def test_a_gzip_bomb_is_refused_while_it_expands() -> None:
    path = Path("data/raw/rows.csv.gz")
    chunk = b"a" * 2**24
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(2 * MAX_BYTES // len(chunk)):
            file.write(chunk)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=rf"rows.csv.gz: \d.* bytes uncompressed, expected at most {MAX_BYTES:,}"):
        list(read_source(local("csv"), path, COLUMNS))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024, "kilobytes"


def test_columns_of_a_file_without_a_header_are_named_by_the_parameters() -> None:
    content = 'spam\tWIN "now"\nham\tsee you\n'
    rows = read(content, "tsv", header=["label", "text"])
    assert (rows.texts, rows.labels) == (['WIN "now"', "see you"], ["spam", "ham"])
    with pytest.raises(InputError, match=r"row 1 \(line 1\) has 2 fields, expected 3, as in the header"):
        read(content, "tsv", header=["label", "text", "more"])
    with pytest.raises(InputError, match=r"column 'text' .* is missing, found the columns \['label', 'body'\]"):
        read(content, "tsv", header=["label", "body"])


def test_fields_beyond_those_that_the_parameters_name_are_not_read() -> None:
    """The rows of STS-B: some have two fields more, and quotes are signs like any other."""
    content = 'news\t4.5\tHe said "no\tShe did."\nnews\t3\ta\tb\tPARA\t"x\n'
    columns = ColumnsParams(text="s1", pair="s2", score="score")
    rows = read(content, "tsv", columns, header=["genre", "score", "s1", "s2", "..."])
    assert (rows.texts, rows.pairs, rows.scores) == (['He said "no', "a"], ['She did."', "b"], ["4.5", "3"])
    with pytest.raises(InputError, match=r"row 2 \(line 2\) has 6 fields, expected 4, as in the header"):
        read(content, "tsv", columns, header=["genre", "score", "s1", "s2"])
    with pytest.raises(InputError, match=r"row 1 \(line 1\) has 4 fields, expected at least 5, as in the header"):
        read(content, "tsv", columns, header=["genre", "score", "s1", "s2", "more", "..."])


def test_every_column_is_read_under_its_key() -> None:
    columns = ColumnsParams(text="a", pair="b", target="c", score="d", group="e", source="f", metadata=["e"])
    lines = [{"a": "A", "b": "B", "c": None, "d": 1, "e": 7, "f": "F"}, {"a": "", "b": "B", "c": "C", "d": 2.5}]
    lines[1] |= {"e": None, "f": "F"}
    rows = read("\n".join(map(json.dumps, lines)), "jsonl", columns)
    assert [row._asdict() for row in rows.rows()] == [
        {"text": "A", "pair": "B", "label": None, "labels": None, "spans": None, "target": None}
        | {"score": "1", "group": "7", "source": "F", "metadata": (("e", "7"),)},
        {"text": "", "pair": "B", "label": None, "labels": None, "spans": None, "target": "C"}
        | {"score": "2.5", "group": None, "source": "F", "metadata": (("e", ""),)},
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"b": 7}, "row 1: 'b' is int, expected str"),
        ({"c": ["x"]}, "row 1: 'c' is list, expected str"),
        ({"d": {}}, "row 1: 'd' is dict, expected str or int"),
        ({"b": "x" * 999_999 + "\U0001f600" * 3}, "row 1 has 1,0"),
    ],
)
def test_pairs_and_targets_are_texts(row: dict[str, object], message: str) -> None:
    columns = ColumnsParams(text="a", pair="b", target="c", score="d")
    with pytest.raises(InputError, match=message):
        read(json.dumps({"a": "A", "b": "B", "c": "C", "d": 1} | row), "jsonl", columns)


def test_two_files_of_each_split_are_read_side_by_side() -> None:
    folder = Path("data/raw/pairs")
    folder.mkdir()
    for name, text in (("a.en", "one\ntwo"), ("a.de", "eins\nzwei\n"), ("b.en", "three\n"), ("b.de", "drei\n")):
        (folder / name).write_text(text)
    files = {"train": ["a.en", "a.de"], "dev": [], "test": ["b.en", "b.de"]}
    found = read_source(local("aligned", files=files), folder, ColumnsParams(text="target", target="text"))
    assert [(rows.name, rows.split, rows.texts, rows.targets) for rows in found] == [
        ("data/raw/pairs/a.en, data/raw/pairs/a.de", "train", ["eins", "zwei"], ["one", "two"]),
        ("data/raw/pairs/b.en, data/raw/pairs/b.de", "test", ["drei"], ["three"]),
    ]


def test_files_of_a_folder_belong_to_the_splits_that_name_them() -> None:
    folder = Path("data/raw/set")
    (folder / "more").mkdir(parents=True)
    for name, text in (("a.txt", "one\ntwo"), ("more/b.txt", "three"), ("c.txt", "four"), ("d.txt", "five")):
        (folder / name).write_text(text)
    files = {"train": ["a.txt", "more/b.txt"], "dev": ["c.txt"], "test": ["d.txt"]}
    found = read_source(local("text", files=files), folder, COLUMNS.model_copy(update={"label": "file"}))
    assert [(rows.name, rows.split, rows.texts, rows.labels) for rows in found] == [
        ("data/raw/set/a.txt", "train", ["one", "two"], ["a.txt", "a.txt"]),
        ("data/raw/set/more/b.txt", "train", ["three"], ["b.txt"]),
        ("data/raw/set/c.txt", "dev", ["four"], ["c.txt"]),
        ("data/raw/set/d.txt", "test", ["five"], ["d.txt"]),
    ]
    files["test"] = ["e.txt", "f.txt"]
    with pytest.raises(InputError) as error:
        list(read_source(local("text", files=files, origin="a hub (CC0)"), folder, RAW))
    assert str(error.value) == (
        "data/raw/set/e.txt, data/raw/set/f.txt: no such file, expected the rows of a dataset "
        "(`dvc pull` fetches tracked ones, others come from a hub (CC0))"
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "csv", "header": []}, "header"),
        ({"format": "jsonl", "header": ["text"]}, "header must be null for format jsonl"),
        ({"format": "csv", "files": {"train": [], "dev": [], "test": ["a"]}}, "files.train"),
        ({"format": "csv", "files": {"train": ["a"], "dev": ["b"], "test": ["a"]}}, "given once, got a 2 times"),
        ({"format": "aligned"}, "files must be given for format aligned, got null"),
        (
            {"format": "aligned", "files": {"train": ["a"], "dev": [], "test": []}},
            r"files.train must name two files for format aligned, got \['a'\]",
        ),
        (
            {"format": "aligned", "files": {"train": ["a", "b"], "dev": ["c", "d", "e"], "test": []}},
            "files.dev must name two files",
        ),
        ({"format": "document"}, "piece_characters must be given for format document, got None"),
        ({"format": "text", "piece_characters": 100}, "piece_characters must be null for format text, got 100"),
        ({"format": "csv", "files": {"train": ["../a"], "dev": [], "test": []}}, "a relative path without .."),
    ],
)
def test_a_source_that_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        local("csv", **values)


@pytest.mark.parametrize("file_format", ["aligned", "document"])
def test_a_package_has_no_files_of_a_format_that_needs_more_words(file_format: str) -> None:
    with pytest.raises(ValueError, match=f"none of aligned and document in a package, got {file_format}"):
        PackageSource.model_validate(
            {"kind": "package", "package": "rows", "files": {"a": "0" * 64}, "format": file_format}
        )


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
    assert [rows.texts for rows in read_source(local("csv"), path, COLUMNS)] == [["one"]]


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
        ("jsonl", ROW + '{"text": "b", "label": 1e999}\n', "row 2: 'label' is float, expected int"),
        ("jsonl", '{"text": "b", "label": 1' + "0" * 30 + "}\n", "rows.jsonl: a number beyond 64 bits"),
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
    columns = COLUMNS if file_format != "text" else RAW
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
        list(read_source(local("csv"), Path(path), COLUMNS))


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
    return PackageSource(kind="package", package="toy-rows", files={"toy_rows/rows.csv": digest}, format="csv")


def test_a_package_is_read_and_not_imported(package: PackageSource) -> None:
    assert [rows.texts for rows in read_source(package, Path("constraints.txt"), COLUMNS)] == [["hello"]]


def test_files_of_a_package_may_hold_a_label_each(package: PackageSource, project: Path) -> None:
    files = {}
    for name, text in (("neg.txt", "bad\nworse\n"), ("pos.txt", "good\n")):
        (project / "site/toy_rows" / name).write_text(text)
        files[f"toy_rows/{name}"] = hashlib.sha256(text.encode()).hexdigest()
    columns = COLUMNS.model_copy(update={"label": "file"})
    found = read_source(package.model_copy(update={"files": files, "format": "text"}), Path("constraints.txt"), columns)
    assert [(rows.name, rows.split, rows.texts, rows.labels) for rows in found] == [
        ("toy_rows/neg.txt", "train", ["bad", "worse"], ["neg.txt", "neg.txt"]),
        ("toy_rows/pos.txt", "train", ["good"], ["pos.txt"]),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"package": "no-such-rows"}, "package no-such-rows: not installed"),
        ({"files": {"toy_rows/absent.csv": "0"}}, "package toy-rows 1.0, file toy_rows/absent.csv: no such file"),
        ({"files": {"../data/x.csv": "0"}}, "leaves the package"),
        ({"files": {"toy_rows/rows.csv": "0" * 64}}, "toy_rows/rows.csv: sha256 is [0-9a-f]{64}, expected 0000"),
    ],
)
def test_a_wrong_package_is_named(package: PackageSource, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(read_source(package.model_copy(update=changes), Path("constraints.txt"), COLUMNS))


def test_a_hub_dataset_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    source = HubSource(kind="hub", name="nobody/nothing", configuration=None, split="train", revision="0" * 40)
    with pytest.raises((ConnectionError, InputError), match="nobody/nothing"):
        list(read_source(source, Path("constraints.txt"), COLUMNS))


def test_lists_of_labels_are_the_same_in_every_format() -> None:
    columns = ColumnsParams(text="text", labels="topics")
    rows = [("a", ["x", "y"]), ("b", []), ("c", [3])]
    lines = "".join(json.dumps({"text": text, "topics": topics}) + "\n" for text, topics in rows)
    cells = "".join(f'{text},"{json.dumps(topics).replace(chr(34), chr(34) * 2)}"\n' for text, topics in rows)
    expected = ['["x", "y"]', "[]", "[3]"]
    assert read(lines, "jsonl", columns).label_sets == expected
    assert read(f"text,topics\n{cells}", "csv", columns).label_sets == expected
    texts = parquet({"text": ["a", "b", "c"], "topics": [["x", "y"], [], None]})
    assert read(texts, "parquet", columns).label_sets == ['["x", "y"]', "[]", None]
    numbers = parquet({"text": ["a", "b"], "topics": [[3], [0, 1]]})
    assert read(numbers, "parquet", columns).label_sets == ["[3]", "[0, 1]"]
    with pytest.raises(InputError, match=r"column 'topics' holds list<.*list<.*>>, expected text or numbers"):
        read(parquet({"text": ["a"], "topics": [[["x"]]]}), "parquet", columns)
    with pytest.raises(InputError, match=r"row 1: 'topics' is dict, expected str or int or float or bool"):
        read('{"text": "a", "topics": {"x": 1}}\n', "jsonl", columns)
