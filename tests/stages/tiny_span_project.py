"""Rows with labelled spans, their tokens and models of a few kilobytes, as the stages before `evaluate` leave them.

Teacher and student are the ones of tests.tiny_students: every answer of theirs can be worked out by hand.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import BertConfig, BertForMaskedLM, BertForTokenClassification

from pipeline.evaluation.table import as_column
from pipeline.params import Params, load_params
from pipeline.tokenization.encoding import encode_words
from pipeline.tokenization.folder import load_tokenizer
from pipeline.words import Span, tag_names, tags_of, words
from tests.span_dataset import SPAN_DATASET
from tests.tiny_students import LABELS, MAX_LENGTH, PIECES, save_span_student

ROOT = Path(__file__).parents[2]
TAGS = tag_names(LABELS)
# texts and their names: the student finds all of them but "york", as no I-tag begins a span
ROWS = [
    ("play madonna", {"madonna": "artist"}),
    ("play madonna keys in new york", {"madonna keys": "artist", "new york": "city"}),
    ("it is in paris", {"paris": "city"}),
    ("play it in york", {"york": "city"}),
    ("play it , play it", {}),
]
# of eleven words two are no longer among the first ten pieces: of "new york" only "new" is found
LONG = ("in in in in in in in in in new york", {"new york": "city"})
COUNTS = {"train": 50, "dev": 15, "test": 39}
FOUND, GIVEN, THERE = 32, 33, 41  # of the student on test: seven "york" are missed, "new" is not "new york"


def spans_in(text: str, names: dict[str, str]) -> list[Span]:
    return [(text.index(name), text.index(name) + len(name), label) for name, label in names.items()]


def params() -> Params:
    """The parameters of this repository with a task `slots` that labels spans."""
    values = load_params(ROOT / "params.yaml").model_dump()
    task = values["tasks"].pop("sentiment")
    task |= {"type": "token_classification", "labels": LABELS, "max_length": MAX_LENGTH}
    task["evaluate"] |= {"slices": ["source", "length"], "identity_groups": []}
    task["gate"] |= {"metric": "span_f1", "min_rows": 10}
    values["datasets"][task["dataset"]] |= SPAN_DATASET | {"labels": {label: label for label in LABELS}}
    values["tasks"]["slots"] = task
    return Params.model_validate(values)


def save_chance_student(folder: Path, seed: int) -> None:
    """Write a student that tags by chance, with the tokenizer of the others."""
    save_span_student(folder)
    _save_model(folder, BertForTokenClassification, seed)


def _save_model(folder: Path, kind: type[Any], seed: int) -> None:
    torch.manual_seed(seed)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    names = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: index for index, tag in enumerate(TAGS)}}
    kind(BertConfig(vocab_size=len(PIECES), max_position_embeddings=MAX_LENGTH, **shape, **names)).save_pretrained(
        folder
    )


def build_project(root: Path) -> None:
    """Write rows, tokens, transfer text, soft labels and four models below `root`."""
    for name in ("teacher", "student"):
        save_span_student(root / name)
    save_chance_student(root / "undistilled", seed=3)
    _save_model(root / "pretrained", BertForMaskedLM, seed=4)
    (root / "soft").mkdir()
    for split, count in COUNTS.items():
        chosen = [ROWS[row % len(ROWS)] for row in range(count)] + [LONG] * (split == "test")
        texts, spans = [text for text, _ in chosen], [spans_in(*row) for row in chosen]
        columns = {
            "id": pa.array([f"{split}{row:04d}" for row in range(len(texts))]),
            "text": pa.array(texts),
            **dict.fromkeys(("pair", "label"), pa.nulls(len(texts), pa.string())),
            "spans": as_column(spans),
            "source": pa.array([["web", "print"][row % 2] for row in range(len(texts))]),
        }
        (root / "rows").mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), root / "rows" / f"{split}.parquet")
        _save_tokens(root, split, texts, spans)
    texts = [text for text, _ in ROWS[:3]] * 4
    pq.write_table(pa.table({"id": [f"x{row}" for row in range(12)], "text": texts}), root / "transfer.parquet")
    _save_tokens(root, "transfer", texts, [spans_in(*row) for row in ROWS[:3]] * 4)


def _save_tokens(root: Path, split: str, texts: list[str], spans: list[list[Span]]) -> None:
    """Write the tokens of a split, those of the transfer set without labels, and a teacher's logits that know them."""
    tags = [tags_of(words(text), row, LABELS) for text, row in zip(texts, spans, strict=True)]
    tokenizer = load_tokenizer(root / "teacher")[0]
    rows = encode_words(tokenizer, texts, tags, MAX_LENGTH)
    if split in ("train", "transfer"):
        logits = np.where(np.eye(len(TAGS))[rows.labels] > 0, 4.0, -4.0).astype(np.float32)
        np.save(root / "soft" / f"{split}.npy", logits)
    if split == "transfer":
        rows = encode_words(tokenizer, texts, [[-1] * len(row) for row in tags], MAX_LENGTH)
    for model in ("teacher", "student"):
        rows.save(root / "tokens" / model / split)
