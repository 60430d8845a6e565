"""Labelled spans through the real stages, from text to a student: what it learns by heart, and the same bytes twice."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.files import content_hash, read_json
from pipeline.stages import distill, finetune, pretrain
from pipeline.tasks import TASKS
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.prediction import predict_logits
from tests.span_dataset import SPAN_DATASET
from tests.stages.tokenization_project import (
    CORPUS,
    ROWS,
    TOKENIZER,
    params,
    run_tokenize,
    run_tokenize_corpus,
    run_train_tokenizer,
    write_spans,
    write_table,
)

pytestmark = pytest.mark.usefixtures("tokenization_project")
LABELS = ["artist", "place"]
NAMES = {"artist": ["ada jones", "bob", "carla de luna"], "place": ["rome", "new york", "the old mill"]}
FRAMES = ["play something by {artist}", "who sang in {place}", "was {artist} ever in {place} ?", "no names here"]


def sentence(chance: random.Random) -> tuple[str, list[tuple[int, int, str]]]:
    """Return a text with its spans: names put into a frame."""
    text, spans = chance.choice(FRAMES), []
    for label in LABELS:
        start, name = text.find(f"{{{label}}}"), chance.choice(NAMES[label])
        if start >= 0:
            text = text.replace(f"{{{label}}}", name)
            spans.append((start, start + len(name), label))
    return text, spans


@pytest.fixture
def students(tokenization_project: None, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two students of one seed, through the stages from tokenizer to distillation."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/mlflow.db")
    chance = random.Random(1)
    for split, count in (("train", 50), ("dev", 12), ("test", 12)):
        rows = [sentence(chance) for _ in range(count)]
        write_spans(ROWS / f"{split}.parquet", [text for text, _ in rows], [spans for _, spans in rows])
        write_table(CORPUS / f"{split}.parquet", [text for text, _ in (sentence(chance) for _ in range(60))], None)
    training = {"epochs": 40, "batch_size": 16, "learning_rate": 5e-3, "evaluations": 4, "embeddings_rate": 1.0}
    stages = ("finetune", "distill")
    changes: dict[str, Any] = {f"{stage}__training__{key}": training[key] for stage in stages for key in training}
    changes |= {"student__architecture__hidden_size": 48, "student__architecture__attention_heads": 2}
    changes |= {"type": "token_classification", "labels": LABELS, "max_length": 24, "student__vocabulary_size": 100}
    changes |= {
        "evaluate__slices": [],
        "evaluate__identity_groups": [],
        "gate__metric": "span_f1",
        "transfer__sentences": 30,
        "transfer__min_words": 2,
    }
    settings = params(
        **{f"datasets__rotten_tomatoes__{key}": value for key, value in SPAN_DATASET.items()},
        **{f"tasks__sentiment__{key}": value for key, value in changes.items()},
        datasets__rotten_tomatoes__labels={label: label for label in LABELS},
        runtime__precision="float32",
        tokenizer__vocabulary_size=105,
    )
    run_train_tokenizer(settings)
    run_tokenize_corpus(settings)
    tokens, weights = run_tokenize(settings), Path("constraints.txt")
    history = Path("reports/history.json")
    pretrain.run(
        settings, tokens=Path("tokens/corpus"), tokenizer=TOKENIZER, init_from=weights,
        out=Path("models/pretrained"), history=history,
    )  # fmt: skip
    finetune.run(
        settings, task="sentiment", pretrained=Path("models/pretrained"), train=tokens / "teacher/train",
        counterfactuals=tokens / "teacher/counterfactuals",
        dev=tokens / "teacher/dev", out=Path("models/teacher"), history=history,
    )  # fmt: skip
    for name in ("first", "second"):
        distill.run(
            settings, task="sentiment", teacher=Path("models/teacher"), teacher_tokens=tokens / "teacher",
            student_tokens=tokens / "student", student_tokenizer=Path("models/student_tokenizer"),
            out=Path("models") / name,
            pretrained_student=Path("none"),
            undistilled=Path("models") / f"un{name}", soft_labels=Path("soft") / name,
            history=Path(f"reports/{name}.json"),
        )  # fmt: skip
    return [Path("models/first"), Path("models/second")]


def test_teacher_and_student_learn_their_rows_by_heart_and_twice_the_same(students: list[Path]) -> None:
    head = TASKS["token_classification"]()(LABELS)
    for folder, side in ((Path("models/teacher"), "teacher"), (students[0], "student")):
        rows = TokenRows.load(Path("tokens/sentiment") / side / "train")
        model = head.load(folder)
        pad = model.config.pad_token_id
        logits = predict_logits(model, rows, batch_size=16, pad_token_id=pad, dtype=torch.float32)
        assert head.score(logits, rows)["span_f1"] >= 0.99, side
    first, second = students
    assert content_hash(first) == content_hash(second)
    assert content_hash(Path("reports/first.json")) == content_hash(Path("reports/second.json"))
    history = [record for record in read_json(Path("reports/first.json")) if record["model"] == "student"]
    last = history[-1] if history[-1]["split"] == "dev" else history[-2]
    assert all(last[figure] is not None for figure in ("span_f1", "loss", "divergence"))
