"""Pairs of made-up texts, and how every stage from the tokenizer to the registry is run on them."""

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.params import Params
from pipeline.stages import distill, finetune, pretrain, tokenize_corpus, train_tokenizer
from pipeline.stages import tokenize as tokenize_stage
from tests.stages.stage_runs import run_evaluate, run_register
from tests.stages.tokenization_project import params, write_table

THINGS = ["apple", "bridge", "candle", "dragon", "engine", "forest", "garden", "harbour", "island", "jacket"]
OTHERS = "the quick brown fox jumps over a lazy dog, 0 1 2 3 4 5 6 7 8 9 times"  # pieces enough for a vocabulary
ROWS, CORPUS = Path("rows"), Path("corpus")
TRAINING = {"batch_size": 10, "learning_rate": 2e-3, "evaluations": 4, "embeddings_rate": 1.0}
ELSEWHERE = """
import json, sys
import mlflow, pandas

mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
print(json.dumps(model.predict(pandas.DataFrame(json.loads(sys.argv[3]))).to_dict(orient="records")))
"""

Pair = tuple[str, str]


def pair_params(type_: str, family: str = "bert", epochs: int = 30, **changes: Any) -> Params:
    """Return the parameters of a tiny model and of a task `pairs` of that type; changes as `params` takes them."""
    bpe = family != "bert"
    shape = {"family": family, "hidden_size": 48, "attention_heads": 2, "layers": 2, "intermediate_size": 64}
    shape |= {"max_length": 64, "dropout": 0.1}
    task: dict[str, Any] = {"type": type_, "max_length": 24, "student__vocabulary_size": None}
    task["evaluate__identity_groups"] = []
    task |= {f"{stage}__training__{key}": value for stage in ("finetune", "distill") for key, value in TRAINING.items()}
    task |= {f"{stage}__training__epochs": epochs for stage in ("finetune", "distill")}
    task |= {"transfer__sentences": 0, "transfer__recombined": 0, "student__architecture": shape | {"dropout": 0.0}}
    task |= {"finetune__consistency": 0.0, "finetune__dropout": 0.0, "gate__min_rows": 5}
    task |= {"evaluate__bootstrap_samples": 100, "gate__bootstrap_samples": 1000}
    return params(
        **{f"tasks__sentiment__{key}": value for key, value in task.items()},
        runtime__precision="float32",
        tokenizer__kind="bpe" if bpe else "wordpiece",
        tokenizer__vocabulary_size=300 if bpe else 100,
        pretrain__architecture=shape,
        **changes,
    )


def texts_of(chance: random.Random, count: int) -> list[str]:
    """Return texts of three things each."""
    return [" ".join(chance.sample(THINGS, 3)) for _ in range(count)]


def write_pairs(path: Path, pairs: Sequence[Pair], **answers: Any) -> None:
    """Write a canonical table of pairs with a column of `answers`, `label` or `score`."""
    columns = {
        "id": [f"{path.stem}{row:04d}" for row in range(len(pairs))],
        "text": [text for text, _ in pairs],
        "pair": [pair for _, pair in pairs],
        "source": [("web", "print")[row % 2] for row in range(len(pairs))],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns | answers), path)


def run_stages(given: Params) -> dict[str, Any]:
    """Run all stages in the current folder; return what the summary says of the task."""
    root, models, init = Path.cwd(), Path("tokenizer"), Path("constraints.txt")
    chance = random.Random(2)
    for split, count in (("train", 40), ("dev", 10)):
        write_table(
            CORPUS / f"{split}.parquet", [". ".join([OTHERS, *texts_of(chance, 4)]) for _ in range(count)], None
        )
    train_tokenizer.run(given, corpus=CORPUS, init_from=init, out=models)
    tokenize_corpus.run(given, corpus=CORPUS, tokenizer=models, out=Path("corpus_tokens"))
    tokenize_stage.run(
        given, task="sentiment", rows=ROWS, corpus=CORPUS, tokenizer=models, pretrained=Path("pretrained"),
        out=Path("tokens"), transfer=Path("transfer.parquet"), student_tokenizer=Path("student_tokenizer"),
    )  # fmt: skip
    reports = Path("reports")
    pretrain.run(
        given, tokens=Path("corpus_tokens"), tokenizer=models, init_from=init, out=Path("pretrained"),
        history=reports / "pretrain/history.json",
    )  # fmt: skip
    finetune.run(
        given, task="sentiment", pretrained=Path("pretrained"), train=Path("tokens/teacher/train"),
        counterfactuals=Path("tokens/teacher/counterfactuals"),
        dev=Path("tokens/teacher/dev"), out=Path("teacher"), history=reports / "sentiment/finetune.json",
    )  # fmt: skip
    distill.run(
        given, task="sentiment", teacher=Path("teacher"), teacher_tokens=Path("tokens/teacher"),
        student_tokens=Path("tokens/student"), student_tokenizer=Path("student_tokenizer"), out=Path("student"),
        pretrained_student=Path("none"),
        undistilled=Path("undistilled"), soft_labels=Path("soft"), history=reports / "sentiment/distill.json",
    )  # fmt: skip
    run_evaluate(given, "sentiment", root, reports / "sentiment")
    return run_register(given, "sentiment", root)


def predict_elsewhere(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Return what the champion answers in a process that knows nothing of this repository."""
    rows = json.dumps([{"text": text, "pair": pair} for text, pair in pairs])
    uri = f"sqlite:///{Path.cwd()}/mlflow.db"
    command = [sys.executable, "-c", ELSEWHERE, uri, "models:/sentiment@champion", rows]
    out = subprocess.run(command, capture_output=True, check=True, text=True, cwd="/", env={"PATH": "/usr/bin:/bin"})
    return list(json.loads(out.stdout.splitlines()[-1]))
