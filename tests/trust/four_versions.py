"""A registry with four versions of one model and how tests of point 7 move its aliases: the real thing, no models."""

from pathlib import Path
from typing import Any

import pytest

from pipeline import tracking
from pipeline.registry.gate import Decision
from pipeline.registry.promotion_log import FILE
from pipeline.registry.promotions import decision_text, promotions_of

NAME = "sentiment"
VERSIONS = 4


def make_database(folder: Path) -> Path:
    """Write an MLflow database with four versions, none of which has an alias, into `folder`; it takes seconds."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(folder, monkeypatch)
        client().create_registered_model(NAME)
        for _ in range(VERSIONS):
            client().create_model_version(NAME, "s3://nowhere/model")
    return folder / "mlflow.db"


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")


def client() -> Any:
    return tracking.connect().MlflowClient()


def decide(version: int, alias: str = "champion") -> None:
    text = decision_text(Decision(alias, f"version {version} is better", {"rows": 10 * version}))
    with promotions_of(tracking.connect(), NAME) as promotions:
        promotions.decide(client().get_model_version(NAME, str(version)), text)


def lines() -> list[dict[str, Any]]:
    with promotions_of(tracking.connect(), NAME) as promotions:
        return promotions.lines


def roll_back() -> dict[str, Any]:
    with promotions_of(tracking.connect(), NAME) as promotions:
        return promotions.roll_back("it answers badly")


def aliases() -> dict[str, int]:
    return {alias: int(version) for alias, version in client().get_registered_model(NAME).aliases.items()}


def log_file(folder: Path) -> Path:
    (file,) = folder.rglob(FILE)
    return file
