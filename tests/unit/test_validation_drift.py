"""Drift of embeddings: alarms come at the stated rate, what has shifted is found, also by `stillhouse drift`."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline import tracking
from pipeline.cli import app
from pipeline.cli.embeddings import student_vectors
from pipeline.files import read_json
from pipeline.registry import publish
from pipeline.registry.copies import in_folder
from pipeline.registry.training_data import ROWS
from pipeline.validation import drift
from tests.tiny_students import save_label_student, save_translation_student

ROOT = Path(__file__).parents[2]
OLD, NEW = ("play", "madonna", "keys", "par"), ("new", "york", "in", "it")


def found_in(vectors: np.ndarray, in_batch: np.ndarray) -> drift.Difference:
    found = drift.of_vectors(vectors, in_batch)
    assert found is not None
    return found


@pytest.mark.parametrize(("rows", "batch"), [(400, 100), (300, 20)])
def test_the_same_distribution_raises_alarms_at_the_stated_rate(rows: int, batch: int) -> None:
    """600 batches of it: at a level of 5 %, 8 % alarm less often than once in a thousand times."""
    random = np.random.default_rng(2)
    scales = np.geomspace(0.1, 10, 16)  # as of hidden states, some of which are large
    found = [found_in(random.standard_normal((rows, 16)) * scales, np.arange(rows) < batch).p_value for _ in range(600)]
    assert 0.01 <= np.mean(np.array(found) < 0.05) <= 0.08
    assert np.mean(np.array(found) < drift.FALSE_ALARMS) <= 0.022


def test_another_distribution_is_found_in_any_direction() -> None:
    random = np.random.default_rng(3)
    for _ in range(10):
        vectors, in_batch = random.standard_normal((1000, 16)), np.arange(1000) < 300
        direction = random.standard_normal(16)
        vectors[in_batch] += direction / np.linalg.norm(direction)  # by one standard deviation
        found = found_in(vectors, in_batch)
        assert 0.2 < found.distance < 0.5 and found.p_value < 1e-4  # of two normals one apart it is 0.38


def test_a_few_rows_raise_no_alarm_and_fewer_say_nothing() -> None:
    vectors = np.random.default_rng(4).standard_normal((50, 16))
    assert found_in(vectors, np.arange(50) < 4).p_value > drift.FALSE_ALARMS
    assert drift.of_vectors(vectors, np.arange(50) < 3) is None is drift.of_vectors(vectors, np.arange(50) >= 3)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a champion that learnt from rows of OLD words, and a copy of it for newer rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(import_module("pipeline.cli.drift"), "cache_folder", lambda: tmp_path / "cache")
    write_rows(tmp_path, [])
    copy = in_folder("workspace", tmp_path, "rows")
    assert copy is not None
    lock = f"stages:\n  validate:\n    outs:\n    - path: rows\n      md5: {copy.md5()}\n"
    Path("dvc.lock").write_text(lock, encoding="utf-8")
    for name in ("", "newer"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"))
    save_label_student(tmp_path / "model")
    mlflow = tracking.connect()
    with mlflow.start_run() as run:
        mlflow.log_artifact("dvc.lock")
    publish.register_version(
        mlflow, "sentiment", run_id=run.info.run_id, student=tmp_path / "model", examples={"text": ["play it"]},
        description="tiny", tags={ROWS: "rows"},
    )  # fmt: skip
    mlflow.MlflowClient().set_registered_model_alias("sentiment", "champion", "1")
    return tmp_path


def write_rows(folder: Path, added: list[str]) -> None:
    """Write 120 rows of each split and `added` as rows of train; ids are the same each time."""
    random = np.random.default_rng(0)
    for split in ("train", "dev", "test"):
        texts = [" ".join(random.choice(OLD, 5)) for _ in range(120)] + (added if split == "train" else [])
        columns = {"id": [f"{split}{row:04}" for row in range(len(texts))], "text": texts, "pair": None}
        (folder / "rows").mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame(columns | {"label": "positive"}).astype({"pair": "string"})
        table.to_parquet(folder / "rows" / f"{split}.parquet")


def measured(project: Path) -> tuple[dict[str, bool], str]:
    done = CliRunner().invoke(app, ["drift", str(project / "newer"), "--out", str(project / "found.json")])
    assert done.exit_code == 0, done.output
    found = read_json(project / "found.json")["sentiment"]
    return {aspect: values["drifted"] for aspect, values in found["aspects"].items()}, done.output


def test_new_rows_are_held_against_what_the_champion_makes_of_its_own(project: Path) -> None:
    random = np.random.default_rng(1)
    write_rows(project / "newer", [" ".join(random.choice(OLD, 5)) for _ in range(100)])
    drifted, said = measured(project)
    assert drifted == dict.fromkeys(("words", "length", "labels", "embeddings"), False)
    assert "100 new rows against the 240 that version 1 was trained on (limit 0.1, 1% false alarms)" in said

    write_rows(project / "newer", [" ".join(random.choice(NEW, 5)) for _ in range(100)])
    drifted, said = measured(project)
    assert drifted["embeddings"] and drifted["words"] and "embeddings 1.000" in said

    for model in (project / "mlruns").glob("*/models"):
        model.rename(project / "gone")
    assert "embeddings" not in measured(project)[0]


def test_vectors_are_means_of_what_is_not_padding(project: Path) -> None:
    mlflow = tracking.connect()
    version = mlflow.MlflowClient().get_model_version("sentiment", "1")
    alone, together = (student_vectors(mlflow, version, texts) for texts in (["play"], ["play", "play in new york it"]))
    assert alone is not None and together is not None
    assert together.shape == (2, 16) and together[0] == pytest.approx(alone[0], abs=1e-5)
    save_translation_student(project / "translated/model")
    publish.register_version(
        mlflow, "translated", run_id=version.run_id, student=project / "translated/model",
        examples={"text": ["play it"]}, description="tiny", tags={},
    )  # fmt: skip
    encoder = student_vectors(mlflow, mlflow.MlflowClient().get_model_version("translated", "1"), ["play in york"])
    assert encoder is not None and encoder.shape == (1, 16)
