"""A handful of made-up documents and rows, and how the three tokenization stages are run on them."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.params import Params, check_params
from pipeline.stages import tokenize, tokenize_corpus, train_tokenizer
from tests.shipped_params import shipped_values

ROOT = Path(__file__).parents[2]
SYLLABLES = ["ba", "co", "di", "fu", "ge", "hom", "lin", "mar", "nes", "tor"]
CORPUS, ROWS, TOKENIZER = Path("validated/corpus"), Path("validated/rows"), Path("models/tokenizer")
LABELS = ["negative", "positive"]


def build_project() -> None:
    """Write the documents and the rows into the current folder."""
    chance = random.Random(0)
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 3))) for _ in range(120)]

    def document(sentences: int) -> str:
        return " ".join(" ".join(chance.choices(words, k=7)).capitalize() + "." for _ in range(sentences))

    for split, count in (("train", 40), ("dev", 8), ("test", 0)):
        write_table(CORPUS / f"{split}.parquet", [document(5) for _ in range(count)], None)
        write_table(ROWS / f"{split}.parquet", [document(1) for _ in range(count or 10)], LABELS)


def write_table(path: Path, texts: list[str], labels: list[str] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = [f"{i:016x}" for i in range(len(texts))]
    names = [labels[i % 2] if labels else None for i in range(len(texts))]
    columns = {"id": ids, "text": texts, "pair": [None] * len(texts), "label": names, "source": ["s"] * len(texts)}
    pq.write_table(pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()}), path)


def write_spans(path: Path, texts: list[str], spans: list[list[tuple[int, int, str]]]) -> None:
    """Write a table whose rows have labelled spans (start, end, label) and no label of their own."""
    kind = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())]))
    named = [[dict(zip(("start", "end", "label"), span, strict=True)) for span in row] for row in spans]
    columns = {"id": pa.array([f"{i:016x}" for i in range(len(texts))]), "text": pa.array(texts)}
    columns |= dict.fromkeys(("pair", "label"), pa.nulls(len(texts), pa.string())) | {"spans": pa.array(named, kind)}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns | {"source": pa.array(["s"] * len(texts))}), path)


def params(**changes: Any) -> Params:
    """Return params.yaml with random weights and a small WordPiece; changes are by dotted path, dots as `__`."""
    values = shipped_values()
    small = {"family": "bert", "layers": 2, "hidden_size": 192, "attention_heads": 3, "intermediate_size": 64}
    values["init_from"] = {"kind": "random", "path": "constraints.txt"}
    values["pretrain"]["architecture"] = small | {"max_length": 64, "dropout": 0.0}
    values["pretrain"] |= {"embeddings": "random", "max_tokens": 1000}
    values["tokenizer"] = {"kind": "wordpiece", "vocabulary_size": 140, "lowercase": True, "min_frequency": 1}
    values["corpus"]["sequence_length"] = 32
    task = values["tasks"]["sentiment"]
    task["max_length"] = 16
    task["transfer"] = {"sentences": 60, "min_words": 5, "max_words": 40, "selection": "importance", "recombined": 0}
    task["student"]["vocabulary_size"] = 120
    for path, value in changes.items():
        *parents, last = path.split("__")
        section = values
        for parent in parents:
            section = section[parent]
        section[last] = value
    return check_params(values, Path("params.yaml"))


def run_train_tokenizer(settings: Params, init_from: str = "constraints.txt") -> None:
    train_tokenizer.run(settings, corpus=CORPUS, init_from=Path(init_from), out=TOKENIZER)


def run_tokenize_corpus(settings: Params) -> Path:
    out = Path("tokens/corpus")
    tokenize_corpus.run(settings, corpus=CORPUS, tokenizer=TOKENIZER, out=out)
    return out


def run_tokenize(settings: Params) -> Path:
    out = Path("tokens/sentiment")
    tokenize.run(
        settings,
        task="sentiment",
        rows=ROWS,
        corpus=CORPUS,
        tokenizer=TOKENIZER,
        pretrained=Path("models/pretrained"),
        out=out,
        transfer=Path("transfer/sentiment.parquet"),
        student_tokenizer=Path("models/student_tokenizer"),
    )
    return out


def texts(path: Path) -> list[str]:
    return [str(text) for text in pq.read_table(path)["text"].to_pylist()]
