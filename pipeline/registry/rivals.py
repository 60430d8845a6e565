"""Candidate and champions on the same rows: those of the candidate's test split that no champion ever trained on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.evaluation.figures import Answers
from pipeline.evaluation.table import from_column
from pipeline.files import InputError
from pipeline.registry.gate import Comparison, Decision

TRAINING_ROWS = "training_row_ids.txt"
PREDICTIONS = "predictions.parquet"
DECIDED = "stillhouse.decided_alias"  # of a version: what the gate made it, whatever was done with the alias since
COMPARED = "stillhouse.comparison"  # of a version: its place among the candidates that its test rows have judged


def decision_tags(decision: Decision) -> dict[str, str]:
    """Return what a version keeps of the gate's decision: alias, reason, and its place where statistics decided."""
    tags = {DECIDED: decision.alias, "stillhouse.decision": decision.reason}
    order = {COMPARED: str(decision.evidence["comparison"])} if "test" in decision.evidence else {}
    return tags | order


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


def example_rows(rows: Path) -> dict[str, list[str]]:
    """Return two rows of the train split, short ones, by column: `text`, and `pair` where rows have one."""
    texts = _texts(rows / "train.parquet")
    chosen = sorted(texts.values(), key=lambda row: (sum(map(len, row.values())), *row.values()))[len(texts) // 4 :][:2]
    return {name: [row[name] for row in chosen] for name in chosen[0]}


def _texts(path: Path) -> dict[str, dict[str, str]]:
    """Return by a row's id the texts that a model reads of it."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["id", "text", "pair"])
    named = ["text"] if table["pair"].null_count == len(table) else ["text", "pair"]
    return dict(zip(table["id"].to_pylist(), table.select(named).to_pylist(), strict=True))


def side_by_side(mlflow: ModuleType, name: str, predictions: Path, rows: Path, labels: list[str]) -> Comparison:
    """Return what the candidate and all champions of `name` so far answer on the same test rows.

    The predictions that were logged with a champion are used where they cover the candidate's test rows; where they do
    not, it is scored again. Rows that any champion trained on are left out. An earlier candidate counts as judged by
    these rows where most of them were among its own.
    Raises InputError where a champion's answers are of another kind than the candidate's: labels, any number of them,
    spans, texts, numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    candidate = pq.read_table(predictions)
    ids = candidate["id"].to_pylist()
    versions = mlflow.MlflowClient().search_model_versions(f"name = '{name}'")
    present = champion_version(mlflow, name)
    champions = [
        version
        for version in versions
        if version.tags.get(DECIDED) == "champion" or (present and version.version == present.version)
    ]
    seen = {id_ for version in champions for id_ in rows_seen(mlflow, version)}
    fresh = [id_ not in seen for id_ in ids]
    fresh_ids = [id_ for id_, is_fresh in zip(ids, fresh, strict=True) if is_fresh]
    actual = from_column(candidate["label"].filter(fresh))
    judged = [version for version in versions if COMPARED in version.tags]
    # a model that goes on with texts writes when it is asked: what a row costs it is known of its own test rows alone
    asked = None if pa.types.is_struct(candidate["label"].type) else rows
    found = {int(version.version): _answers(mlflow, version, fresh_ids, asked, labels) for version in champions}
    answers = {version: said for version, said in found.items() if said is not None}
    own = from_column(candidate["student"].filter(fresh))
    _check_kinds(name, own, answers)
    return Comparison(
        actual=actual,
        candidate=own,
        champions=answers,
        silent=[version for version, said in found.items() if said is None],
        earlier=sum(_is_among(fresh_ids, set(_logged(mlflow, version))) for version in judged),
    )


def rows_seen(mlflow: ModuleType, version: Any) -> set[str]:
    """Return the ids of the rows that a version trained on or was chosen by."""
    return set(_artifact(mlflow, version, TRAINING_ROWS).read_text().split())


def _is_among(ids: Sequence[str], others: set[str]) -> bool:
    return 2 * sum(id_ in others for id_ in ids) > len(ids)


def _artifact(mlflow: ModuleType, version: Any, name: str) -> Path:
    return Path(mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path=name))


def _logged(mlflow: ModuleType, version: Any) -> dict[str, Any]:
    """Return what the student of `version` answered on the test rows of its day, by row id."""
    import pyarrow.parquet as pq

    table = pq.read_table(_artifact(mlflow, version, PREDICTIONS), columns=["id", "student"])
    return dict(zip(table["id"].to_pylist(), from_column(table["student"]), strict=True))


def _answers(
    mlflow: ModuleType, version: Any, ids: list[str], rows: Path | None, labels: list[str]
) -> list[Any] | None:
    """Return the answers of `version` to the rows `ids`; None where it was never asked and there are no `rows` to."""
    known = _logged(mlflow, version)
    if all(id_ in known for id_ in ids):
        return [known[id_] for id_ in ids]
    return None if rows is None else _score(mlflow, version, ids, rows, labels)


def _check_kinds(name: str, candidate: Answers, champions: Mapping[int, list[Any]]) -> None:
    wanted = _kind(candidate)
    for version, answers in champions.items():
        found = _kind(answers) if len(answers) else wanted
        if found != wanted:
            raise InputError(
                f"tasks.{name}: version {version}, a champion, answers with {found}, this task with {wanted}; expected "
                "a name of its own for a task of another type"
            )


def _kind(answers: Answers) -> str:
    """Return what answers are made of, as a message says it."""
    first = answers[0] if len(answers) else 0
    kinds = {frozenset: "any number of labels", list: "spans", str: "texts", float: "numbers"}
    return next((name for kind, name in kinds.items() if isinstance(first, kind)), "labels")


def _score(mlflow: ModuleType, version: Any, ids: list[str], rows: Path, labels: list[str]) -> list[Any]:
    import pandas as pd

    texts = _texts(rows / "test.parquet")
    model = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}")
    answers = model.predict(pd.DataFrame([texts[id_] for id_ in ids]))
    if "spans" in answers:
        return [[(span["start"], span["end"], span["label"]) for span in row] for row in answers["spans"]]
    if "labels" in answers:
        return [frozenset(said["label"] for said in row) for row in answers["labels"]]
    if "label" not in answers:
        return list(answers.iloc[:, 0])  # a text or a number, whatever it is called
    # where it has thresholds by its likeliest label, as in its own predictions: what it withholds is no mistake
    said = answers["likeliest" if "likeliest" in answers else "label"]
    return [labels.index(answer) if answer in labels else -1 for answer in said]
