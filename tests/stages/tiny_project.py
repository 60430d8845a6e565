"""Rows, tokens and models of a few kilobytes, as the stages before `evaluate` would have left them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, PreTrainedTokenizerFast

from pipeline.tokenization.ragged import UNLABELLED, TokenRows

ROWS = {"train": 60, "dev": 20, "test": 40}
WORDS = {0: ["dull", "slow", "flat"], 1: ["warm", "bright", "sharp"]}
SHARED = ["film", "plot", "scene", "actor", "line"]
PEOPLE = ["he", "she", "man", "woman"]
VOCABULARY = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", *WORDS[0], *WORDS[1], *SHARED, *PEOPLE]
NAMES = ("negative", "positive")


def sentence(random: np.random.Generator, label: int) -> str:
    words = [*random.choice(WORDS[label], 2), *random.choice(SHARED, int(random.integers(2, 6)))]
    return " ".join(random.permutation(words))


def save_tokens(folder: Path, texts: list[str], labels: np.ndarray) -> None:
    rows = [[1, *(VOCABULARY.index(word) for word in text.split()), 2] for text in texts]
    TokenRows.from_rows(rows, labels, np.dtype(np.uint16)).save(folder)


def save_model(folder: Path, kind: type[Any], width: int, seed: int) -> None:
    torch.manual_seed(seed)
    shape = {"hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": width}
    labels = {"id2label": dict(enumerate(NAMES)), "label2id": {name: index for index, name in enumerate(NAMES)}}
    kind(BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=64, **shape, **labels)).save_pretrained(folder)


def save_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(folder)


def build_project(root: Path) -> None:
    """Write rows, tokens, transfer text, soft labels and four models below `root`."""
    random = np.random.default_rng(0)
    for split, count in ROWS.items():
        labels = random.integers(0, 2, count)
        texts = [sentence(random, int(label)) for label in labels]
        columns = {
            "id": [f"{split}{row:04d}" for row in range(count)],
            "text": texts,
            "pair": pa.nulls(count, pa.string()),
            "label": [NAMES[label] for label in labels],
            "source": [["web", "print"][row % 2] for row in range(count)],
        }
        (root / "rows").mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), root / "rows" / f"{split}.parquet")
        for model in ("teacher", "student"):
            save_tokens(root / "tokens" / model / split, texts, labels)
        if split == "train":
            train_logits = np.where(np.eye(2)[labels] > 0, 2.0, -2.0).astype(np.float32)
    transfer = [sentence(random, row % 2) for row in range(30)]
    pq.write_table(pa.table({"id": [f"x{row}" for row in range(30)], "text": transfer}), root / "transfer.parquet")
    save_tokens(root / "tokens" / "teacher" / "transfer", transfer, np.full(30, UNLABELLED))
    soft = root / "soft"
    soft.mkdir()
    np.save(soft / "train.npy", train_logits)
    np.save(soft / "transfer.npy", np.array([[2, -2] if row % 2 == 0 else [-2, 2] for row in range(30)], np.float32))
    for name, width, seed in (("teacher", 32, 1), ("student", 16, 2), ("undistilled", 16, 3)):
        save_model(root / name, BertForSequenceClassification, width, seed)
    save_model(root / "pretrained", BertForMaskedLM, 32, 4)
    for name in ("teacher", "student"):
        save_tokenizer(root / name)
