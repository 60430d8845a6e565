"""Candidate and champion on the same rows: those of the candidate's test split that the champion never trained on."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

TRAINING_ROWS = "training_row_ids.txt"
PREDICTIONS = "predictions.parquet"


def champion_version(mlflow: ModuleType, name: str) -> Any | None:
    """Return the version of `name` that is @champion, or None where there is no champion yet."""
    client = mlflow.MlflowClient()
    registered = client.search_registered_models(f"name = '{name}'")
    if not registered or "champion" not in registered[0].aliases:
        return None
    return client.get_model_version_by_alias(name, "champion")


def training_rows(rows: Path) -> list[str]:
    """Return the ids of the rows that a candidate trained on or chose by: the train and dev splits of a dataset."""
    import pyarrow.parquet as pq

    tables = [pq.read_table(rows / f"{split}.parquet", columns=["id"]) for split in ("train", "dev")]
    return sorted(id_ for table in tables for id_ in table["id"].to_pylist())


def example_texts(rows: Path) -> list[str]:
    """Return two texts of the train split, short ones, to show what the model takes."""
    import pyarrow.parquet as pq

    texts = pq.read_table(rows / "train.parquet", columns=["text"])["text"].to_pylist()
    return sorted(texts, key=lambda text: (len(text), text))[len(texts) // 4 :][:2]


def side_by_side(
    mlflow: ModuleType, champion: Any | None, predictions: Path, rows: Path, labels: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return, as boolean arrays over the same rows, where the candidate and the champion are right.

    The champion's logged predictions are used where they cover the candidate's test rows; where they do not, it is
    scored again on them. Rows the champion trained on are left out. Without a champion the second array is None.
    """
    import pyarrow.parquet as pq

    candidate = pq.read_table(predictions)
    actual = np.asarray(candidate["label"])
    right = np.asarray(candidate["student"]) == actual
    if champion is None:
        return right, None
    folder = Path(mlflow.artifacts.download_artifacts(run_id=champion.run_id))
    seen = set((folder / TRAINING_ROWS).read_text(encoding="utf-8").split())
    ids = candidate["id"].to_pylist()
    logged = pq.read_table(folder / PREDICTIONS)
    known = dict(zip(logged["id"].to_pylist(), logged["student"].to_pylist(), strict=True))
    if all(id_ in known for id_ in ids):
        predicted = np.asarray([known[id_] for id_ in ids])
    else:
        predicted = _score(mlflow, champion, ids, rows, labels)
    fresh = np.asarray([id_ not in seen for id_ in ids])
    return right[fresh], (predicted == actual)[fresh]


def _score(mlflow: ModuleType, champion: Any, ids: list[str], rows: Path, labels: list[str]) -> np.ndarray:
    import pandas as pd
    import pyarrow.parquet as pq

    test = pq.read_table(rows / "test.parquet", columns=["id", "text"])
    texts = dict(zip(test["id"].to_pylist(), test["text"].to_pylist(), strict=True))
    model = mlflow.pyfunc.load_model(f"models:/{champion.name}/{champion.version}")
    answers = model.predict(pd.DataFrame({"text": [texts[id_] for id_ in ids]}))["label"]
    return np.asarray([labels.index(answer) if answer in labels else -1 for answer in answers])
