"""A GPT through the real stages, from text to a registered student: it goes on with what it knows by heart."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import tracking
from pipeline.files import read_json
from pipeline.params import Params
from pipeline.registry import champion
from pipeline.schema import CANONICAL
from pipeline.stages import distill, evaluate, export, finetune, pretrain, register
from tests.stages.tokenization_project import (
    CORPUS,
    ROWS,
    TOKENIZER,
    params,
    run_tokenize,
    run_tokenize_corpus,
    run_train_tokenizer,
)

pytestmark = pytest.mark.usefixtures("tokenization_project")
WORDS = ["king", "queen", "fool", "lord", "crown", "storm", "night", "sword", "ghost", "letter", "moon", "heath"]
COUNT = 50
ELSEWHERE = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = sys.argv[1]
model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
said = []
for text in json.loads(sys.argv[2]):
    made = tokenizer(text, return_tensors="pt")
    torch.manual_seed(0)
    ids = model.generate(**made)[0, made["input_ids"].shape[1]:]
    said.append(tokenizer.decode(ids, skip_special_tokens=True))
print(json.dumps(said))
"""


def settings() -> Params:
    training = {"epochs": 80, "batch_size": 10, "learning_rate": 3e-3, "evaluations": 2, "embeddings_rate": 1.0}
    task: dict[str, Any] = {
        f"{stage}__training__{k}": training[k] for stage in ("finetune", "distill") for k in training
    }
    task |= {
        "type": "text_generation",
        "labels": [],
        "max_length": 24,
        "finetune__consistency": 0.0,
        "finetune__dropout": 0.0,
    }
    task |= {"transfer__sentences": 0, "student__vocabulary_size": None, "distill__likeliest": 16}
    task |= {f"student__architecture__{k}": v for k, v in {"family": "gpt", "hidden_size": 48}.items()}
    task |= {"student__architecture__attention_heads": 2}
    task |= {"distill__losses__hard_labels": 1.0, "distill__temperature": 1.0}
    task |= {"generation": {"max_tokens": 12, "beams": 1, "length_penalty": 0.0, "temperature": 0.5, "top_p": 0.9}}
    task |= {
        "evaluate__slices": ["length"],
        "evaluate__identity_groups": [],
        "gate__metric": "bits_per_character",
        "gate__min_rows": 10,
    }
    pretraining = {"objective": "causal_lm", "mask_share": None, "whole_word_mask": None, "across_documents": True}
    return params(
        **{f"pretrain__{key}": value for key, value in pretraining.items()},
        **{f"tasks__sentiment__{key}": value for key, value in task.items()},
        datasets__rotten_tomatoes__columns={"text": "text", "target": "target"},
        datasets__rotten_tomatoes__labels=None,
        datasets__rotten_tomatoes__only_sources=None,
        pretrain__architecture__family="gpt",
        pretrain__architecture__hidden_size=64,
        pretrain__architecture__attention_heads=2,
        pretrain__max_tokens=8000,
        tokenizer__kind="bpe",
        tokenizer__vocabulary_size=280,
        runtime__precision="float32",
    )


def write_rows(path: Path, rows: list[tuple[str, str | None]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {name: [None] * len(rows) for name in CANONICAL.names}
    columns |= {"id": [f"{path.stem}{i:012x}" for i in range(len(rows))], "source": ["s"] * len(rows)}
    columns |= {"text": [text for text, _ in rows], "target": [target for _, target in rows]}
    pq.write_table(pa.table(columns, schema=CANONICAL), path)


def run_stages(given: Params, *, completed: bool) -> dict[str, Any]:
    """Write rows, each with words of its own behind its beginning; run all stages; return evaluation.json."""
    chance = random.Random(1)
    rows: list[tuple[str, str | None]] = []
    for i in range(COUNT):
        begins, goes_on = f"{WORDS[i % 12]} {WORDS[i // 12]}", " ".join(chance.choices(WORDS, k=3))
        rows.append((begins, goes_on) if completed else (f"{begins}\n{goes_on}", None))
    for split in ("train", "dev", "test"):  # kept and measured is what knows its rows best
        write_rows(ROWS / f"{split}.parquet", rows)
        write_rows(CORPUS / f"{split}.parquet", [(f"{text} {target or ''}".strip(), None) for text, target in rows])
    run_train_tokenizer(given)
    run_tokenize_corpus(given)
    tokens, models, out = run_tokenize(given), Path("models"), Path("reports/sentiment")
    histories = [out.parent / "pretrain/history.json", out / "finetune.json", out / "distill.json"]
    pretrain.run(
        given, tokens=Path("tokens/corpus"), tokenizer=TOKENIZER, init_from=Path("constraints.txt"),
        out=models / "pretrained", history=histories[0],
    )  # fmt: skip
    finetune.run(
        given, task="sentiment", pretrained=models / "pretrained", train=tokens / "teacher/train",
        counterfactuals=tokens / "teacher/counterfactuals",
        dev=tokens / "teacher/dev", out=models / "teacher", history=histories[1],
    )  # fmt: skip
    distill.run(
        given, task="sentiment", teacher=models / "teacher", teacher_tokens=tokens / "teacher",
        student_tokens=tokens / "student", student_tokenizer=models / "student_tokenizer", out=models / "student",
        pretrained_student=Path("none"),
        undistilled=models / "undistilled", soft_labels=Path("soft"), history=histories[2],
    )  # fmt: skip
    export.run(given, task="sentiment", student=models / "student", dev=tokens / "student/dev", out=models / "exported")
    evaluate.run(
        given, task="sentiment", rows=ROWS, tokens=tokens, teacher=models / "teacher", student=models / "student",
        exported=models / "exported",
        undistilled=models / "undistilled", pretrained=models / "pretrained",
        transfer=Path("transfer/sentiment.parquet"), soft_labels=Path("soft"), out=out / "evaluation.json",
        predictions=out / "predictions.parquet", confusion=out / "confusion.csv", reliability=out / "reliability.csv",
    )  # fmt: skip
    register.run(
        given, task="sentiment", rows=ROWS, corpus=CORPUS, tokens=tokens, pretrained=models / "pretrained",
        teacher=models / "teacher", student=models / "student", exported=models / "exported",
        pretrained_student=Path("none"), pretrain_history=histories[0], distill_pretrained_history=Path("none.json"),
        finetune_history=histories[1], distill_history=histories[2], evaluation=out / "evaluation.json",
        predictions=out / "predictions.parquet", reports=Path("reports"),
    )  # fmt: skip
    return dict(read_json(out / "evaluation.json"))


KINDS = [
    pytest.param(False, id="running text"),
    pytest.param(True, id="prompt and completion", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("completed", KINDS)
def test_rows_are_learnt_by_heart_and_gone_on_with_by_whoever_loads_the_folder(
    completed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/mlflow.db")
    found = run_stages(settings(), completed=completed)
    rows = pq.read_table(ROWS / "test.parquet").to_pylist()
    predicted = sum(len(row["target"] or row["text"]) for row in rows)
    assert (found["rows"], found["characters"]) == (COUNT, predicted)
    for model in ("teacher", "student"):  # a row begins with one of 50 pairs of words, the rest follows from it
        least = 0 if completed else COUNT * np.log2(COUNT) / predicted
        assert found[model]["bits_per_character"] < least + 0.1, model
    assert found["baselines"]["character_ngram"]["bits_per_character"] > found["student"]["bits_per_character"]
    assert found["comparison"]["agreement"] is None and 0 < found["distinct_1"]["student"] < 1
    costs = pq.read_table("reports/sentiment/predictions.parquet")
    bits = np.sum(costs["student"]) / np.log(2) / predicted
    assert found["student"]["bits_per_character"] == pytest.approx(bits, abs=1e-5)
    history = read_json(Path("reports/sentiment/distill.json"))
    divergence = [record["divergence"] for record in history if record["divergence"] is not None]
    assert divergence[-1] < divergence[0]

    asked = [row["text"].split("\n")[0] for row in rows[:6]]
    right = [row["target"] or "\n" + row["text"].split("\n")[1] for row in rows[:6]]
    said = [answer["continuation"] for answer in champion.predict("sentiment", [{"text": text} for text in asked])]
    assert sum(one == other for one, other in zip(said, right, strict=True)) >= 5
    command = [sys.executable, "-c", ELSEWHERE, "models/student", json.dumps(asked)]
    assert json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout) == said
    page = Path("reports/index.html").read_text(encoding="utf-8")
    for words in ("Bits per character", "counted runs of characters", "What the student finds least likely"):
        assert words in page, words
    card = Path("reports/sentiment/model_card.md").read_text(encoding="utf-8")
    assert "pipeline_tag: text-generation" in card and "agrees" not in card
    version = tracking.connect().MlflowClient().get_model_version_by_alias("sentiment", "champion")
    assert int(version.version) == 1
