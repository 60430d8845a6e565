"""Before and after: what a new student makes of texts about other people, and what the champion before it does.

No version keeps its answers to such texts, so both are asked about the same ones.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.evaluation import fairness, outcome
from pipeline.evaluation.calibration import Calibration
from pipeline.evaluation.fairness import counterfactuals
from pipeline.evaluation.significance import Bootstrap
from pipeline.files import read_json
from pipeline.params import Params
from pipeline.registry import rivals
from pipeline.registry.champion import student_folder
from pipeline.registry.publish import GRAPH, RECORD
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


def before_and_after(
    mlflow: ModuleType,
    former: Any | None,
    params: Params,
    task: str,
    paths: dict[str, Path],
    links: dict[str, str],
    known: dict[str, Any] | None,
    head: Any,
    encode: Callable[[Path, list[str]], Rows],
) -> dict[str, Any] | None:
    """Return what texts about other people do to the new student and did to `former`, the champion before it.

    None where there was none, or no groups of people are to be told apart. `links` are the hashes of what lies at
    `paths`. `known` is what was found last; both are asked once for an evaluation. `head` is the task's as
    pipeline.tasks has it, `encode` returns texts as the model in a folder reads them. Where the two cannot be compared
    there is a `reason` instead.
    """
    if former is None or not params.tasks[task].evaluate.identity_groups:
        return None
    key = {"version": int(former.version), "run_id": former.run_id, "evaluation_sha256": links["evaluation"]}
    if known and "reason" not in known and all(known.get(name) == value for name, value in key.items()):
        return known
    print(f"version {former.version}, the champion before it, and the student on texts about other people", flush=True)
    return key | outcome.rounded(_ask_both(mlflow, former, params, task, paths, head, encode))


def _ask_both(
    mlflow: ModuleType,
    former: Any,
    params: Params,
    task: str,
    paths: dict[str, Path],
    head: Any,
    encode: Callable[[Path, list[str]], Rows],
) -> dict[str, Any]:
    """Return what `fairness.before_and_after` does of the two, by templates and the texts of test.

    Rows that the former trained on are no test of it: they are left out, and `left_out` says how many there are.
    """
    from pipeline.evaluation.contenders import label_probabilities
    from pipeline.training import runtime

    settings = params.tasks[task].evaluate
    folder = student_folder(mlflow, former)
    if folder is None:
        return {"reason": "its student is stored no more"}
    named = read_json(folder / "config.json")["id2label"]
    if (labels := [named[str(index)] for index in range(len(named))]) != list(head.labels):
        return {"reason": f"its labels are {', '.join(labels)}"}
    try:
        seen = rivals.rows_seen(mlflow, former)
    except (mlflow.exceptions.MlflowException, OSError):
        return {"reason": "the list of the rows that it has learnt from is gone"}
    runtime.prepare(params.runtime)  # as `evaluate` does, so that the student says what it said there
    texts, left_out = _texts(paths["rows"] / "test.parquet", seen)
    asked = counterfactuals(settings.identity_groups, texts)
    both = [one.text for one in asked] + [one.swapped for one in asked]
    served = paths["exported"] if (paths["exported"] / GRAPH).is_file() else paths["student"]
    models = {"before": (folder, folder / RECORD), "after": (served, paths["exported"] / RECORD)}
    scores = label_probabilities(
        head,
        {name: (own, encode(own, both)) for name, (own, _) in models.items()},
        {name: Calibration.of(read_json(file) if file.is_file() else {}) for name, (_, file) in models.items()},
        both,
    )
    bootstrap = Bootstrap(settings.bootstrap_samples, settings.confidence, params.runtime.seed)
    return {"left_out": left_out} | fairness.before_and_after(asked, scores, bootstrap)


def _texts(test: Path, seen: set[str]) -> tuple[list[str], int]:
    """Return the texts of a table's rows that are none of `seen`, and how many others there are."""
    import pyarrow.parquet as pq

    table = pq.read_table(test, columns=["id", "text"])
    rows = zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
    texts = [str(text) for id_, text in rows if id_ not in seen]
    return texts, len(table) - len(texts)
