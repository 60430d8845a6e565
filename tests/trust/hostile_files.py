"""Source files of every format: valid ones, broken ones, and ones of rows that nobody would write."""

import csv
import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from pipeline.params import Params, load_params
from tests.trust.fuzzing import VALUES, mutated, with_another_value

ROOT = Path(__file__).parents[2]
FORMATS = ("csv", "tsv", "jsonl", "parquet", "text", "conll", "slots", "csv.gz")
FORMATS += ("squad", "conversations", "aligned", "document")
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


def article(text: str, label: str) -> dict[str, Any]:
    """One question about the text, answered by its first word, or by none where the label is 0."""
    answers = [{"text": text.split()[0], "answer_start": 0}]
    question = {"question": f"What of {text[-5:]}?", "answers": answers, "is_impossible": label == "0"}
    return {"title": text[:9], "paragraphs": [{"context": text, "qas": [question]}]}


def talk(text: str) -> dict[str, Any]:
    messages = [{"text": word, "sender": word[0], "timestamp": "2018-05-02T19:38:15Z"} for word in text.split()]
    return {"messages": [messages[:2], messages[2:]], "ratings": {"witty": 1}}


ORIGINALS = {
    "csv": [b"text,label\n" + lines("{text},{label}\n"), b'"label","text"\r\n' + lines('{label},"{text}"\r\n')],
    "tsv": [b"text\tlabel\n" + lines("{text}\t{label}\n")],
    "jsonl": [lines('{{"text": "{text}", "label": "{label}", "more": {{"a": [1, 2]}}}}\n')],
    "parquet": [parquet(), parquet(compression="zstd", use_dictionary=False), parquet(row_group_size=7)],
    "text": [lines("{text} {label}\n")],
    "conll": [tagged("{}\t{}\n", ""), tagged("{} {}\r\n", "\r")],
    "slots": [tagged("{} {}\n", "find\n")],
}
ORIGINALS |= {
    "squad": [json.dumps({"version": "v2.0", "data": [article(*row) for row in ROWS]}).encode()],
    "conversations": [json.dumps({str(number): talk(text) for number, text in enumerate(TEXTS)}).encode()],
    "aligned": [lines("{text}\n"), lines("{text}\r\n")],
    "document": [lines("{text}\n"), lines("{text}\r")],
}
ORIGINALS["csv.gz"] = [gzip.compress(data, mtime=0) for data in ORIGINALS["csv"]]
LABELS = {
    "text": {"columns": {"label": None, "spans": None}, "labels": None},
    "conll": {"columns": {"label": None, "spans": "spans"}, "labels": {"thing": "thing", "place": "place"}},
    "slots": {"columns": {"label": None, "spans": "spans"}, "labels": {"thing": "thing", "place": "place"}},
}
LABELS |= {
    "squad": {"columns": {"text": "context", "pair": "question", "spans": "answers", "group": "title"}}
    | {"labels": {"answer": "answer"}},
    "conversations": {"columns": {}, "labels": None, "line_breaks": "keep"},
    "aligned": {"columns": {"target": "target"}, "labels": None},
    "document": {"columns": {}, "labels": None, "line_breaks": "keep"},
}
ROW_LABELS = {"columns": {"label": "label"}, "labels": {"0": "negative", "1": "positive"}}
SOURCES = {
    "aligned": {"files": {"train": ["first", "second"], "dev": [], "test": []}},
    "document": {"piece_characters": 40},  # shorter than each of the lines
}


def dataset_of(file_format: str) -> Params:
    given = load_params(ROOT / "params.yaml")
    changes: dict[str, Any] = {
        "path": f"rows.{file_format}",
        "source": {"kind": "file", "format": file_format.removesuffix(".gz")}
        | {"header": None, "files": None, "origin": None}
        | SOURCES.get(file_format, {}),
        "only_sources": None,
        "split": {"dev": 0.2, "test": 0.2},
    }
    changes |= LABELS.get(file_format, ROW_LABELS)
    changes["columns"] = {"text": "text"} | changes["columns"]
    section = type(given.datasets["imdb"]).model_validate(given.datasets["imdb"].model_dump() | changes)
    return given.model_copy(update={"datasets": {"rows": section}})


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
    if file_format in ("squad", "conversations"):
        whole = json.loads(ORIGINALS[file_format][0])
        for text in texts[len(ROWS) :]:
            answered = article(f"stone {text}", "1")
            whole |= {"data": [*whole["data"], answered]} if file_format == "squad" else {text: talk(f"{text} {text}")}
        return draw(with_another_value(json.dumps(whole).encode()) | st.just(json.dumps(whole).encode()))
    if file_format in ("aligned", "document"):
        return "\n".join(texts).encode("utf-8", draw(st.sampled_from(["surrogatepass", "replace"])))
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
