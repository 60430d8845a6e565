"""A student of every kind over HTTP: what `/predict` and `/explain` say of its answers."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.registry import champion
from pipeline.serving.app import create_app
from tests.registered_students import PAIRED, STUDENTS, TEXTS, register_students, registry_in

WITHOUT_WORDS = ("topics", "slots", "writing", "translated")  # their answers have no single probability


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """MLflow with a champion of each kind."""
    root = tmp_path_factory.mktemp("registry")
    with registry_in(root):
        yield register_students(root)


def rows_of(task: str) -> list[dict[str, str]]:
    return [{"text": text} | ({"pair": "it"} if task in PAIRED else {}) for text in TEXTS]


@pytest.mark.parametrize("task", STUDENTS)
def test_each_kind_answers_as_predict_does(task: str, registry: Any) -> None:
    rows = rows_of(task)
    with TestClient(create_app(registry, task)) as client:
        deadline = time.monotonic() + 60
        while client.get("/ready").status_code != 200:
            assert time.monotonic() < deadline
        said = client.post("/predict", json={"rows": rows})
        assert said.status_code == 200, said.text
        assert said.json() == {"model": task, "version": 1, "answers": champion.predict(task, rows)}
        explained = client.post("/explain", json=rows[0])
        assert explained.status_code == 200, explained.text
        assert bool(explained.json()["words"]) == (task not in WITHOUT_WORDS)
        refused = client.post("/predict", json={"rows": [{"text": "it", "question": "in"}]})
        assert refused.status_code == 422 and "rows.0" in refused.json()["error"]
