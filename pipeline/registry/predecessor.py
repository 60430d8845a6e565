"""Before and after: what a new student makes of texts about other people, and what the champion before it does.

No version keeps its answers to such texts, so both are asked about the same ones.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.evaluation.calibration import Calibration
from pipeline.evaluation.fairness import before_and_after, counterfactuals
from pipeline.evaluation.significance import Bootstrap
from pipeline.files import read_json
from pipeline.registry import rivals
from pipeline.registry.champion import student_folder
from pipeline.registry.publish import RECORD
from pipeline.training.batches import Rows

CHAMPION_BEFORE = "stillhouse.champion_before"  # of a version: which one was @champion when the gate decided on it


def predecessor(mlflow: ModuleType, name: str, version: Any | None) -> Any | None:
    """Return the version that was @champion of `name` when `version` came; where that is None, the one that is it now.

    None where there was no champion, or where it has been deleted since.
    """
    if version is None:
        return rivals.champion_version(mlflow, name)
    versions = mlflow.MlflowClient().search_model_versions(f"name = '{name}'")
    return next((one for one in versions if str(one.version) == version.tags.get(CHAMPION_BEFORE)), None)


def people_before_and_after(
    mlflow: ModuleType,
    former: Any,
    student: tuple[Path, Calibration],
    *,
    task: Any,
    encode: Callable[[Path, list[str]], Rows],
    test: Path,
    groups: Sequence[str],
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return what `fairness.before_and_after` does of `former`, a version, and of the folder of the new student.

    Texts are those of the table `test` and templates. Rows that the former trained on are no test of it: they are left
    out, and `left_out` says how many of them there are. `task` is as pipeline.tasks has it, `encode` returns texts as
    the model in a folder reads them. Where the two cannot be compared there is a `reason` and nothing else.
    """
    from pipeline.evaluation.contenders import label_probabilities

    folder = student_folder(mlflow, former)
    if folder is None:
        return {"reason": "its student is stored no more"}
    named = read_json(folder / "config.json")["id2label"]
    if (known := [named[str(index)] for index in range(len(named))]) != list(task.labels):
        return {"reason": f"its labels are {', '.join(known)}"}
    try:
        seen = rivals.rows_seen(mlflow, former)
    except (mlflow.exceptions.MlflowException, OSError):
        return {"reason": "the list of the rows that it has learnt from is gone"}
    texts, left_out = _texts(test, seen)
    asked = counterfactuals(groups, texts)
    both = [one.text for one in asked] + [one.swapped for one in asked]
    record = folder / RECORD
    calibration = Calibration.of(read_json(record) if record.is_file() else {})
    models = {"before": (folder, calibration), "after": student}
    networks = {name: (own, encode(own, both)) for name, (own, _) in models.items()}
    scores = label_probabilities(task, networks, {name: found for name, (_, found) in models.items()}, both)
    return {"left_out": left_out} | before_and_after(asked, scores, bootstrap)


def _texts(test: Path, seen: set[str]) -> tuple[list[str], int]:
    """Return the texts of a table's rows that are none of `seen`, and how many others there are."""
    import pyarrow.parquet as pq

    table = pq.read_table(test, columns=["id", "text"])
    rows = zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
    texts = [str(text) for id_, text in rows if id_ not in seen]
    return texts, len(table) - len(texts)
