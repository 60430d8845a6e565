"""Every family through the real stages, from text to a student: what it learns by heart and says elsewhere."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.files import read_json
from pipeline.params import Params
from pipeline.stages import distill, finetune, pretrain
from pipeline.tasks import TASKS
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.prediction import predict_logits
from tests.stages.tokenization_project import (
    CORPUS,
    LABELS,
    ROWS,
    TOKENIZER,
    params,
    run_tokenize,
    run_tokenize_corpus,
    run_train_tokenizer,
    texts,
    write_table,
)

pytestmark = pytest.mark.usefixtures("tokenization_project")
MASKED = {"objective": "masked_lm"}
CAUSAL = {"objective": "causal_lm", "mask_share": None, "whole_word_mask": None, "across_documents": False}
# what a family's teacher is pretrained by, its tokenizer and the sizes of its vocabulary for teacher and student; the
# teacher is of the same family, but for one that is a student alone
FAMILIES: dict[str, tuple[dict[str, Any], str, int, int | None]] = {
    "bert": (MASKED, "wordpiece", 110, 100),
    "roberta": (MASKED, "bpe", 340, None),
    "gpt": (CAUSAL, "bpe", 340, None),
    "bilstm": (MASKED, "wordpiece", 110, 100),
}
SAYS = {"negative": ["dull", "slow", "flat", "tired"], "positive": ["warm", "bright", "sharp", "lively"]}
SHARED = [
    "film", "plot", "scene", "actor", "line", "story", "music",
    "camera", "script", "ending", "dialogue", "picture", "costume", "voice",
]  # fmt: skip
ELSEWHERE = """
import json, sys
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
import pipeline.architectures.bilstm

folder, texts = sys.argv[1], json.loads(sys.argv[2])
model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
made = tokenizer(texts, padding=True, truncation=True, max_length=int(sys.argv[3]), return_tensors="pt")
assert not made["attention_mask"].all()  # some rows are padded
with torch.inference_mode():
    print(json.dumps(model(**made).logits.tolist()))
"""


def sentence(chance: random.Random, label: str) -> str:
    """Return a text whose label a word of it tells, anywhere but at its end."""
    words = chance.choices(SHARED, k=chance.randint(2, 6))
    words.insert(chance.randrange(len(words)), chance.choice(SAYS[label]))
    return " ".join(words)


def settings(family: str) -> Params:
    objective, tokenizer, size, kept = FAMILIES[family]
    training = {"epochs": 40, "batch_size": 10, "learning_rate": 2e-3, "evaluations": 4, "embeddings_rate": 1.0}
    task: dict[str, Any] = {
        f"{stage}__training__{k}": training[k] for stage in ("finetune", "distill") for k in training
    }
    task |= {f"student__architecture__{k}": v for k, v in {"family": family, "hidden_size": 48}.items()}
    heads = None if family == "bilstm" else 2
    task |= {"student__vocabulary_size": kept, "student__architecture__attention_heads": heads}
    task |= {"transfer__sentences": 30, "transfer__min_words": 2, "max_length": 24}
    return params(
        **{f"pretrain__{key}": value for key, value in objective.items()},
        **{f"tasks__sentiment__{key}": value for key, value in task.items()},
        pretrain__architecture__family="bert" if family == "bilstm" else family,
        pretrain__max_tokens=8000,
        tokenizer__kind=tokenizer,
        tokenizer__vocabulary_size=size,
        runtime__precision="float32",
    )


def run_stages(given: Params) -> None:
    """Write rows and a corpus; run the stages from the tokenizer to the student."""
    chance = random.Random(1)
    known, others = ([sentence(chance, LABELS[row % 2]) for row in range(count)] for count in (50, 12))
    for split, rows in (("train", known), ("dev", known), ("test", others)):  # kept is what knows its rows best
        write_table(ROWS / f"{split}.parquet", rows, LABELS)
        documents = [". ".join(sentence(chance, chance.choice(LABELS)) for _ in range(5)) for _ in range(60)]
        write_table(CORPUS / f"{split}.parquet", documents, None)
    run_train_tokenizer(given)
    run_tokenize_corpus(given)
    tokens, models, history = run_tokenize(given), Path("models"), Path("reports/history.json")
    assert TokenRows.load(tokens / "student/train").lengths.max() < given.tasks["sentiment"].max_length  # none is cut
    pretrain.run(
        given, tokens=Path("tokens/corpus"), tokenizer=TOKENIZER, init_from=Path("constraints.txt"),
        out=models / "pretrained", history=history,
    )  # fmt: skip
    finetune.run(
        given, task="sentiment", pretrained=models / "pretrained", train=tokens / "teacher/train",
        counterfactuals=tokens / "teacher/counterfactuals",
        dev=tokens / "teacher/dev", out=models / "teacher", history=history,
    )  # fmt: skip
    distill.run(
        given, task="sentiment", teacher=models / "teacher", teacher_tokens=tokens / "teacher",
        student_tokens=tokens / "student", student_tokenizer=models / "student_tokenizer", out=models / "student",
        pretrained_student=Path("none"), undistilled=models / "undistilled", soft_labels=Path("soft"), history=history,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_teacher_and_student_learn_their_rows_by_heart_and_say_the_same_elsewhere(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/mlflow.db")
    given = settings(family)
    run_stages(given)
    head, tests = TASKS["text_classification"]()(LABELS), texts(ROWS / "test.parquet")
    for side in ("teacher", "student"):
        folder, tokens = Path("models") / side, Path("tokens/sentiment") / side
        model, rows = head.load(folder), {split: TokenRows.load(tokens / split) for split in ("train", "test")}
        pad = read_json(folder / "config.json")["pad_token_id"]
        logits = {
            split: predict_logits(model, own, batch_size=16, pad_token_id=pad, dtype=torch.float32)
            for split, own in rows.items()
        }
        assert head.score(logits["train"], rows["train"])["accuracy"] >= 0.99, side
        longest = str(given.tasks["sentiment"].max_length)
        command = [sys.executable, "-c", ELSEWHERE, str(folder), json.dumps(tests), longest]
        said = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        np.testing.assert_allclose(np.array(said), logits["test"], rtol=1e-4, atol=1e-4)
