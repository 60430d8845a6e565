"""A folder in which `pretrain` runs as people run it: a corpus of 400 short sequences, a model of a few kilobytes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers.models import WordPiece

from pipeline.params import Params, load_params
from pipeline.tokenization.folder import assemble, save_tokenizer
from pipeline.tokenization.shards import MANIFEST, growing_shards
from tests.shipped_params import shipped_values

ROOT = Path(__file__).parents[2]
SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
LENGTH, BATCH_SIZE, STEPS = 32, 9, 60  # nine rows are not shared out evenly, and 400 end in a batch of four
COMMAND = "python -m pipeline.stages.pretrain --tokens data/tokens/corpus --tokenizer models/tokenizer --init-from \
constraints.txt --out models/pretrained --history reports/pretrain/history.json"
PRETRAINED, HISTORY = "models/pretrained/model.safetensors", "reports/pretrain/history.json"


def make_project(folder: Path, *, dropout: float = 0.0, checkpoint_minutes: float = 60.0, **runtime: Any) -> Path:
    """Write tokens, tokenizer and params.yaml below `folder`; return it. `runtime` are values of that section."""
    folder.mkdir(parents=True)
    words = [f"w{i}" for i in range(90)] + [f"##p{i}" for i in range(5)]
    vocabulary = {token: index for index, token in enumerate([*SPECIAL.values(), *words])}
    save_tokenizer(
        assemble(WordPiece(vocabulary, unk_token="[UNK]"), SPECIAL, None, None, None),
        SPECIAL, LENGTH, folder / "models/tokenizer",
    )  # fmt: skip
    (folder / "data/tokens/corpus").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, count in (("input_ids", 400), ("dev_input_ids", 20)):
        np.save(
            folder / "data/tokens/corpus" / f"{name}.npy",
            generator.integers(5, 15, size=(count, LENGTH)).astype(np.uint16),
        )
    params = shipped_values()
    params["runtime"] |= {"threads": 1, "precision": "float32"} | runtime
    params["tokenizer"] = {"kind": "wordpiece", "vocabulary_size": 100, "lowercase": True, "min_frequency": 1}
    params["init_from"] = {"kind": "random", "path": "constraints.txt"}
    params["pretrain"]["architecture"] = {
        "family": "bert", "layers": 2, "hidden_size": 32, "attention_heads": 2, "intermediate_size": 64,
        "max_length": LENGTH, "dropout": dropout,
    }  # fmt: skip
    params["pretrain"] |= {"embeddings": "random", "max_tokens": STEPS * BATCH_SIZE * LENGTH}
    params["pretrain"]["training"] |= {
        "batch_size": BATCH_SIZE, "learning_rate": 1e-3, "evaluations": 3, "checkpoint_minutes": checkpoint_minutes
    }  # fmt: skip
    for task in params["tasks"].values():
        task["student"] |= {"vocabulary_size": None}
        task["student"]["architecture"] |= {"hidden_size": 24}
    write_params(folder, Params.model_validate(params))
    return folder


def into_shards(folder: Path, url: str) -> Path:
    """Move the sequences to train on to 16 shards at `url`, three of which are a window; return `folder`."""
    params = load_params(folder / "params.yaml").model_dump()
    params["corpus"]["shards"] = {"url": url, "megabytes": 0.0018, "window": 3}
    tokens, file = folder / "data/tokens/corpus", folder / "data/tokens/corpus/input_ids.npy"
    rows = np.load(file)
    with growing_shards(tokens / MANIFEST, (LENGTH,), rows.dtype, **params["corpus"]["shards"]) as append:
        append(rows)
    file.unlink()
    write_params(folder, Params.model_validate(params))
    return folder


def write_params(folder: Path, params: Params) -> None:
    """Write `params.yaml`; JSON is YAML as well."""
    (folder / "params.yaml").write_text(json.dumps(params.model_dump()), encoding="utf-8")


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a stage in another folder: DVC's, and no MLflow, which has tests of its own."""
    own = {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "DVC_STAGE": "pretrain"}
    return os.environ | own | variables


def start(folder: Path, command: str = COMMAND, **variables: str) -> "subprocess.Popen[str]":
    """Start a stage in `folder`; its two outputs come as one."""
    words = [sys.executable, *command.split()[1:]]
    return subprocess.Popen(
        words, cwd=folder, env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(folder: Path, command: str = COMMAND, *, code: int = 0) -> str:
    """Run a stage in `folder` to its end, which has to have the exit code `code`; return what it printed."""
    process = start(folder, command)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == code, printed
    return printed
