"""A student with a temperature and thresholds: the same numbers and the same withheld labels through every door."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from mlflow.pyfunc import scoring_server
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pipeline.registry import champion
from pipeline.serving.app import create_app
from tests.registered_students import TEXTS, make_champion, register_student, registry_in
from tests.tiny_students import save_topic_student, save_unsure_student

ROWS = [{"text": text} for text in TEXTS]
OF_TOPICS = {"temperature": 0.5, "thresholds": {"war": 0.8, "art": 0.3}}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """MLflow with one student that gives one label, or none, and one that gives any number of them."""
    root = tmp_path_factory.mktemp("registry")
    with registry_in(root) as mlflow, pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "false")  # MLflow's server sets it for good
        save_unsure_student(root / "unsure")
        save_topic_student(root / "topics")
        (root / "topics/export.json").write_text(json.dumps(OF_TOPICS), encoding="utf-8")
        for task in ("unsure", "topics"):
            register_student(mlflow, task, root / task)
            make_champion(mlflow, task)
        yield mlflow


def logits(folder: str) -> torch.Tensor:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        return torch.stack([model(**tokenizer(text, truncation=True, return_tensors="pt")).logits[0] for text in TEXTS])


def test_the_likeliest_label_is_withheld_where_it_is_not_over_its_threshold(registry: Any) -> None:
    answers = champion.predict("unsure", ROWS)
    chances = (logits("unsure") / 2).double().softmax(dim=1)
    for answer, own in zip(answers, chances.tolist(), strict=True):
        likeliest = "negative" if own[0] > own[1] else "positive"
        assert answer["score"] == pytest.approx(max(own), abs=1e-6) and answer["likeliest"] == likeliest
        assert answer["label"] == (None if likeliest == "negative" and own[0] <= 0.7 else likeliest)
    assert [answer["label"] for answer in answers] == ["negative", "positive", "negative", None]
    columns = registry.pyfunc.load_model("models:/unsure@champion").metadata.signature.outputs
    assert [(column.name, column.required) for column in columns] == [
        ("label", False), ("score", True), ("likeliest", True),
    ]  # fmt: skip


def test_each_of_several_labels_is_given_above_its_own_threshold(registry: Any) -> None:
    limits = (0.3, 0.5, 0.8)  # of art, food and war
    for answer, own in zip(champion.predict("topics", ROWS), (logits("topics") / 0.5).sigmoid().tolist(), strict=True):
        given = {
            name: score for name, score, limit in zip(("art", "food", "war"), own, limits, strict=True) if score > limit
        }
        assert {said["label"]: said["score"] for said in answer["labels"]} == pytest.approx(given, abs=1e-5)


@pytest.mark.parametrize("task", ["unsure", "topics"])
def test_every_server_gives_what_predict_gives(task: str, registry: Any) -> None:
    expected = champion.predict(task, ROWS)
    with TestClient(create_app(registry, task)) as client:
        deadline = time.monotonic() + 60
        while client.get("/ready").status_code != 200:
            assert time.monotonic() < deadline
        assert client.post("/predict", json={"rows": ROWS}).json()["answers"] == expected
    model = registry.pyfunc.load_model(f"models:/{task}@champion")
    with TestClient(scoring_server.init(model)) as client:
        said = client.post("/invocations", json={"inputs": TEXTS})
        assert said.status_code == 200, said.text
        assert [
            {"text": text} | answer for text, answer in zip(TEXTS, said.json()["predictions"], strict=True)
        ] == expected
