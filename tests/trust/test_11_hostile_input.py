"""Point 11: whatever stands in a data file or in a tokenizer folder ends well or in one line.

The quick tests try some hundred inputs of each kind, the slow ones thirteen thousand in all, with those of
test_11_parameters.py and test_11_served_model.py.
"""

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from pipeline.files import InputError
from pipeline.params import Params, load_params
from pipeline.stages import ingest
from pipeline.tokenization.adoption import adopt_tokenizer
from pipeline.tokenization.folder import SPECIAL_TOKENS, load_tokenizer, read_max_length, save_tokenizer, special_ids
from pipeline.tokenization.training import train_bpe, train_wordpiece
from tests.trust.fuzzing import VALUES, fuzz, mutated, one_line

ROOT = Path(__file__).parents[2]
FORMATS = ("csv", "tsv", "jsonl", "parquet", "text", "conll", "slots", "csv.gz")
WORDS = ("stone", "river", "lantern", "copper", "meadow", "violin", "harbour", "winter", "pepper", "castle", "marble")
TEXTS = [" ".join(random.Random(number).choices(WORDS, k=9)) for number in range(60)]
ROWS = [(text, str(number % 2)) for number, text in enumerate(TEXTS)]
SIGNS = (
    "\n", "\r", "\r\n", ",", "\t", '"', '""', "'", "{", "}", "[", "]", ":", "\\", "\\ud800", "\\u0000", "null", "NaN",
    "1e999", "\ufeff", "\x00", "\x1c", "\u2028", "\u0301", "\ud7ff", "电影", "😀", "<!--", "-->", "<script>",
    "&#9999999999;", " O\n", "\tB-place\n", " I-thing\n", " B-", "\n\n", "PAR1", '"text"', '"label"', "text", "label",
)  # fmt: skip
LONG = (b"9" * 5000, b"[" * 3000, b"&#" + b"9" * 5000, b"<!--" * 5000, b"\xcc\x81\xcc\x96" * 3000)
RAW = (b"\xff", b"\xed\xa0\x80", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x15")
PIECES = [sign.encode() for sign in SIGNS] + [*LONG, *RAW]


def parquet(**options: Any) -> bytes:
    texts, labels = zip(*ROWS, strict=True)
    return parquet_of(pa.table({"text": texts, "label": labels, "n": range(len(texts))}), **options)


def parquet_of(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return bytes(sink.getvalue())


def lines(form: str) -> bytes:
    return "".join(form.format(text=text, label=label) for text, label in ROWS).encode()


def tagged(pair: str, end: str) -> bytes:
    """The rows with the first two words of each as a thing and the last one as a place."""
    tags = ["B-thing", "I-thing", *["O"] * 6, "B-place"]
    rows = ("".join(pair.format(*token) for token in zip(text.split(), tags, strict=True)) for text in TEXTS)
    return "".join(f"{row}{end}\n" for row in rows).encode()


ORIGINALS = {
    "csv": [b"text,label\n" + lines("{text},{label}\n"), b'"label","text"\r\n' + lines('{label},"{text}"\r\n')],
    "tsv": [b"text\tlabel\n" + lines("{text}\t{label}\n")],
    "jsonl": [lines('{{"text": "{text}", "label": "{label}", "more": {{"a": [1, 2]}}}}\n')],
    "parquet": [parquet(), parquet(compression="zstd", use_dictionary=False), parquet(row_group_size=7)],
    "text": [lines("{text} {label}\n")],
    "conll": [tagged("{}\t{}\n", ""), tagged("{} {}\r\n", "\r")],
    "slots": [tagged("{} {}\n", "find\n")],
}
ORIGINALS["csv.gz"] = [gzip.compress(data, mtime=0) for data in ORIGINALS["csv"]]
LABELS = {
    "text": {"columns": {"label": None, "spans": None}, "labels": None},
    "conll": {"columns": {"label": None, "spans": "spans"}, "labels": {"thing": "thing", "place": "place"}},
    "slots": {"columns": {"label": None, "spans": "spans"}, "labels": {"thing": "thing", "place": "place"}},
}
ROW_LABELS = {"columns": {"label": "label", "spans": None}, "labels": {"0": "negative", "1": "positive"}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("none.jsonl").write_text("\n")
    return tmp_path


def dataset_of(file_format: str) -> Params:
    given = load_params(ROOT / "params.yaml")
    changes: dict[str, Any] = {
        "path": f"rows.{file_format}",
        "source": {"kind": "file", "format": file_format.removesuffix(".gz")}
        | {"header": None, "files": None, "origin": None},
        "only_sources": None,
        "split": {"dev": 0.2, "test": 0.2},
    }
    changes |= LABELS.get(file_format, ROW_LABELS)
    changes["columns"] = {"text": "text", "source": None} | changes["columns"]
    section = type(given.datasets["imdb"]).model_validate(given.datasets["imdb"].model_dump() | changes)
    return given.model_copy(update={"datasets": {"rows": section}})


def ingesting(file_format: str) -> Callable[[bytes], None]:
    """Return what tries a file's bytes: the whole stage, which ends well or says in one line why not."""
    params, path = dataset_of(file_format), Path(f"rows.{file_format}")

    def attempt(data: bytes) -> None:
        path.write_bytes(data)
        paths = {"path": path, "held_out": Path("none.jsonl"), "out": Path("out"), "held_out_out": Path("list.jsonl")}
        try:
            ingest.run(params, dataset="rows", **paths)
        except InputError as error:
            assert one_line(error).startswith(f"rows.{file_format}")

    return attempt


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(SIGNS)
ANY_TYPE = st.sampled_from(
    [pa.int8(), pa.float64(), pa.bool_(), pa.string(), pa.large_string(), pa.binary(), pa.decimal128(9, 2)]
)


@st.composite
def well_formed(draw: st.DrawFn, file_format: str) -> bytes:
    """A file without a mistake in its form, of rows that nobody would have written."""
    more = draw(st.lists(st.tuples(ANY_TEXT, st.sampled_from("01") | ANY_TEXT), min_size=1, max_size=5))
    texts, labels = (list(column) for column in zip(*ROWS, *more, strict=True))
    if file_format == "jsonl":
        rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
        rows[-1] |= {draw(st.sampled_from(["text", "label", "more", ""])): draw(VALUES)}
        return "\n".join(json.dumps(row) for row in rows).encode()
    if file_format == "parquet":
        label = pa.array([str(number % 2) for number in range(len(texts))]).cast(draw(ANY_TYPE))
        label = draw(st.sampled_from([label, label.dictionary_encode(), pa.nulls(len(texts))]))
        text = pa.array([text.encode("utf-8", "surrogatepass") for text in texts], pa.binary())
        return parquet_of(pa.table({"text": text, "label": label}))
    if file_format in ("conll", "slots"):
        tags = st.sampled_from(["O", "B-thing", "I-thing", "B-place", "I-place"])
        tokens = draw(st.lists(st.tuples(ANY_TEXT, tags), min_size=1, max_size=9))
        row = "".join(f"{token}\t{tag}\n" for token, tag in tokens) + "find\n" * (file_format == "slots")
        return ORIGINALS[file_format][0] + row.encode("utf-8", draw(st.sampled_from(["surrogatepass", "replace"])))
    stream = io.StringIO(newline="")
    if file_format == "csv":
        csv.writer(stream).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    else:
        stream.writelines(
            f"{text}\t{label}\n" for text, label in zip(["text", *texts], ["label", *labels], strict=True)
        )
    return stream.getvalue().encode("utf-8", draw(st.sampled_from(["surrogatepass", "replace"])))


def files(file_format: str) -> st.SearchStrategy[bytes]:
    if file_format == "csv.gz":
        compressed = well_formed("csv").map(lambda data: gzip.compress(data, mtime=0))
        return st.binary(max_size=200) | mutated(ORIGINALS["csv.gz"], PIECES) | compressed
    return st.binary(max_size=200) | mutated(ORIGINALS[file_format], PIECES) | well_formed(file_format)


@pytest.mark.parametrize("file_format", FORMATS)
def test_any_file_is_read_or_refused_in_one_line(project: Path, file_format: str) -> None:
    fuzz(files(file_format), ingesting(file_format), 120)


@pytest.mark.slow
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_thousand_files_of_each_format_are_read_or_refused_in_one_line(project: Path, file_format: str) -> None:
    fuzz(files(file_format), ingesting(file_format), 1000)


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_files_that_are_mutated_are_valid(project: Path, file_format: str) -> None:
    for data in ORIGINALS[file_format]:
        Path(f"rows.{file_format}").write_bytes(data)
        paths = {"held_out": Path("none.jsonl"), "out": Path("out"), "held_out_out": Path("list.jsonl")}
        ingest.run(dataset_of(file_format), dataset="rows", path=Path(f"rows.{file_format}"), **paths)
        assert json.loads(Path("out/report.json").read_text())["rows_read"] == len(ROWS)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """The files of two tokenizer folders, beside a model's config.json."""
    texts = (ROOT / "LICENSE").read_text(encoding="utf-8").split("\n")  # a text that never changes
    folders = []
    for train, size in ((train_wordpiece, 300), (train_bpe, 400)):
        folder = tmp_path_factory.mktemp("tokenizer")
        save_tokenizer(train(lambda: iter([texts]), size, True, 1), SPECIAL_TOKENS, 64, folder)
        (folder / "config.json").write_text('{"max_position_embeddings": 64}')
        folders.append({path.name: path.read_bytes() for path in folder.iterdir()})
    return folders


@st.composite
def with_another_value(draw: st.DrawFn, data: bytes) -> bytes:
    """A JSON file in which one value, at any depth, is another one or missing."""
    value = json.loads(data)
    holder = value
    while True:
        keys = list(holder)[:20] if isinstance(holder, dict) else range(min(len(holder), 20))
        key = draw(st.sampled_from(keys))
        inner = holder[key]
        if not (isinstance(inner, dict | list) and inner and draw(st.booleans())):
            break
        holder = inner
    if draw(st.integers(0, 3)) == 0:
        del holder[key]
    else:
        holder[key] = draw(VALUES | st.sampled_from(["[CLS]", "\ud800", 10**30, {"type": "x"}]))
    return json.dumps(value).encode()


@st.composite
def broken_folder(draw: st.DrawFn, folders: list[dict[str, bytes]]) -> dict[str, bytes]:
    folder = dict(draw(st.sampled_from(folders)))
    name = draw(st.sampled_from(sorted(folder)))
    change = draw(st.sampled_from(["value", "value", "bytes", "missing"]))
    if change == "missing":
        del folder[name]
    elif change == "value":
        folder[name] = draw(with_another_value(folder[name]))
    else:
        folder[name] = draw(mutated([folder[name]], PIECES))
    return folder


def adopting(folder: dict[str, bytes]) -> None:
    target = Path("tokenizer")
    target.mkdir(exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (target / name).unlink(missing_ok=True)
    for name, data in folder.items():
        (target / name).write_bytes(data)
    try:
        tokenizer, special_tokens = load_tokenizer(target)
        assert len(special_ids(tokenizer, special_tokens)) == 5
        assert tokenizer.encode("a row of words").ids
        assert read_max_length(target) > 2
    except InputError as error:
        one_line(error)
    try:
        adopt_tokenizer(target)
    except InputError as error:
        assert "tokenizer" in one_line(error)


def test_any_tokenizer_folder_is_read_or_refused(project: Path, tokenizers: list[dict[str, bytes]]) -> None:
    fuzz(broken_folder(tokenizers), adopting, 300)


@pytest.mark.slow
def test_a_thousand_tokenizer_folders_are_read_or_refused(project: Path, tokenizers: list[dict[str, bytes]]) -> None:
    fuzz(broken_folder(tokenizers), adopting, 1000)


def test_code_that_a_folder_brings_along_is_not_run(project: Path) -> None:
    folder = Path("tokenizer")
    folder.mkdir()
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    (folder / "evil.py").write_text("open('ran', 'w')\nclass Evil: pass\n")
    own = {"AutoTokenizer": ["evil.Evil", None]}
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": own, "model_max_length": 64}))
    (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoConfig": "evil.Evil"}, "model_type": "evil"}))
    with pytest.raises(InputError, match="not a readable tokenizer"):
        adopt_tokenizer(folder)
    assert not Path("ran").exists()
