"""The version of a registered model that carries the alias @champion."""

import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline import tracking
from pipeline.files import InputError


@dataclass(frozen=True)
class Champion:
    """A version of the model of a task, in memory. `inputs` are the columns it reads: `text`, and `pair` where used."""

    task: str
    version: int
    inputs: tuple[str, ...]
    model: Any

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process by name: the model is loaded there, from the same registry."""
        import mlflow
        import torch

        return _load_there, (mlflow.get_tracking_uri(), self.task, self.version, torch.get_num_threads())

    def answer(self, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
        """Return each row and what the model answers to it, such as `{"text", "label", "score"}`.

        Raises InputError where the model refuses a row: one that lacks a text or has one too many, a blank text, one
        of over a million characters, half of a surrogate pair.
        """
        import mlflow
        import pandas as pd

        if not rows:
            return []
        try:
            # as objects: pandas' own text takes no half of a surrogate pair, which the model refuses in better words
            answers = self.model.predict(pd.DataFrame(rows, dtype=object)).to_dict(orient="records")
        except mlflow.exceptions.MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            raise InputError(f"models:/{self.task}@champion: {error.message}") from None
        return [{**row, **answer} for row, answer in zip(rows, answers, strict=True)]


def current_version(mlflow: ModuleType, task: str) -> int:
    """Return the number of the version that is champion of `task` now; raise InputError where there is none."""
    try:
        return int(mlflow.MlflowClient().get_model_version_by_alias(task, "champion").version)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise InputError(
            f"models:/{task}@champion: not in the registry at {mlflow.get_tracking_uri()}, "
            "expected a registered model; run `make run`"
        ) from None


def load(mlflow: ModuleType, task: str, version: int) -> Champion:
    """Load a version of the model of `task` from the registry."""
    from transformers.utils import logging as transformers_logging

    # progress bars and advice on type hints would stand between the user and the answer
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = mlflow.pyfunc.load_model(f"models:/{task}/{version}")
    return Champion(task, version, tuple(model.metadata.get_input_schema().input_names()), model)


def student_folder(mlflow: ModuleType, version: Any) -> Path | None:
    """Return where the student of a version lies, fetched where need be; None where the registry has none, or no more.

    It is a folder as `from_pretrained` loads it, with a graph in it where the student was exported.
    """
    try:
        stored = mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}")
    except (mlflow.exceptions.MlflowException, OSError):
        return None
    folder = Path(stored) / "artifacts" / "model"
    return folder if folder.is_dir() else None  # else a version of something else


def _load_there(registry: str, task: str, version: int, threads: int) -> Champion:
    import torch

    torch.set_num_threads(threads)  # before the model is loaded, which keeps them
    os.environ["MLFLOW_TRACKING_URI"] = registry
    return load(tracking.connect(), task, version)


def predict(task: str, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return each row and what the champion of `task` answers to it, as `Champion.answer` does.

    A row is `{"text"}`, or `{"text", "pair"}` where the task is one for pairs of texts. Raises InputError where the
    registry holds no champion of that name, or where the model refuses a row.
    """
    mlflow = tracking.connect()
    version = current_version(mlflow, task)
    return load(mlflow, task, version).answer(rows) if rows else []
