"""`stillhouse drift`: whether rows that came since are of the kind that the champions were trained on."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipeline import tracking
from pipeline.cli.answers import answer
from pipeline.cli.lineage import cache_folder
from pipeline.files import write_json
from pipeline.params import DatasetParams, load_params
from pipeline.registry.rivals import champion_version
from pipeline.registry.training_data import ROWS, trained_on
from pipeline.schema import SPLITS, compared
from pipeline.validation import drift

if TYPE_CHECKING:
    import pandas as pd

LEARNT_FROM = ("train", "dev")  # the splits that a student is taught and chosen by
SAMPLE_ROWS = 10_000  # of either side, as in validation
EMBEDDED_ROWS = 2_000  # of either side that the champion's student reads: seconds, whatever its size


def measure_drift(project: Path, out: Path | None) -> None:
    """Compare the validated rows in `project` that no champion has seen with what its task's champion learnt from.

    Prints a line for each task, and writes to `out` by task: version, new_rows, reference_rows, max_drift,
    false_alarms, summary, aspects (distance, p_value, drifted). aspects is empty where nothing could be compared, and
    summary says why.
    """
    params = load_params(project / "params.yaml")
    with tracking.connected() as mlflow:
        found = {
            name: _of_task(mlflow, name, params.datasets[task.dataset], project) for name, task in params.tasks.items()
        }
    for name, values in found.items():
        aspects = ", ".join(
            f"{aspect} {value['distance']:.3f} (p {value['p_value']:.2g}){' DRIFTED' if value['drifted'] else ''}"
            for aspect, value in values["aspects"].items()
        )
        print(f"{name}: {values['summary']}{': ' if aspects else ''}{aspects}")
    if out is not None:
        write_json(out, found)
    answer(found)


def _of_task(mlflow: ModuleType, task: str, dataset: DatasetParams, project: Path) -> dict[str, Any]:
    version = champion_version(mlflow, task)
    if version is None:
        return _result("no champion yet, so nothing to compare with")
    known = trained_on(mlflow, version, cache_folder())
    if known is None:
        return _result(f"the rows that version {version.version} was trained on are not here any more")
    rows = project / version.tags[ROWS]
    if not rows.is_dir():
        return _result(f"{rows}: no such rows, version {version.version} was trained on another dataset")
    old, new = _read(known.files), _read({f"{split}.parquet": rows / f"{split}.parquet" for split in SPLITS})
    fresh = new[~new["id"].isin(old["id"])]
    learnt = old[old["split"].isin(LEARNT_FROM)]
    limit = dataset.validation.max_drift
    found = _compare(learnt, fresh, bool(dataset.row_labels))
    unlearnt = old[old["split"] != "train"]  # by what it has learnt itself a student would tell old from new
    if found and len(unlearnt) and (embedded := _embedded(mlflow, version, unlearnt, fresh)):
        found["embeddings"] = embedded
    judged = drift.distances(found)
    over = set(judged["aspect"][judged["distance"] > limit])
    aspects = {name: {**aspect._asdict(), "drifted": name in over} for name, aspect in found.items()}
    summary = (
        f"{len(fresh):,} new rows against the {len(learnt):,} that version {version.version} was trained on "
        f"(limit {limit}, {drift.FALSE_ALARMS:.0%} false alarms)"
    )
    counts = {"version": int(version.version), "new_rows": len(fresh), "reference_rows": len(learnt)}
    return _result(summary, aspects) | counts | {"max_drift": limit, "false_alarms": drift.FALSE_ALARMS}


def _embedded(
    mlflow: ModuleType, version: Any, reference: "pd.DataFrame", batch: "pd.DataFrame"
) -> drift.Difference | None:
    """Compare what the champion's student makes of fair samples of both sides; None where that cannot be."""
    import numpy as np

    from pipeline.cli.embeddings import student_vectors

    sides = [side["text"].head(EMBEDDED_ROWS).tolist() for side in (reference, batch)]
    vectors = student_vectors(mlflow, version, [text for side in sides for text in side])
    return None if vectors is None else drift.of_vectors(vectors, np.repeat([False, True], [*map(len, sides)]))


def _result(summary: str, aspects: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"summary": summary, "aspects": aspects or {}}


def _read(files: Mapping[str, Path]) -> "pd.DataFrame":
    """Return id, split, text and label of the rows of a dataset in the order of their ids, which are hashes.

    text is what rows are compared by, so a pair is part of it; label is "" where a row has none.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    columns = ["id", "text", "pair", "label"]
    rows = [
        {"id": row["id"], "split": split, "text": compared(row["text"], row["pair"]), "label": row["label"] or ""}
        for split in SPLITS
        for row in pq.read_table(files[f"{split}.parquet"], columns=columns).to_pylist()
    ]
    return pd.DataFrame(rows, columns=["id", "split", "text", "label"]).sort_values("id", kind="stable")


def _compare(reference: "pd.DataFrame", batch: "pd.DataFrame", labelled: bool) -> dict[str, drift.Difference]:
    """Compare fair samples of both sides; nothing, where either has fewer than two rows."""
    import numpy as np
    import pandas as pd

    from pipeline.sources.similarity import indicator_matrix, shingles

    sides = [side.head(SAMPLE_ROWS) for side in (reference, batch)]
    rows, in_batch = pd.concat(sides), np.repeat([False, True], [len(side) for side in sides])
    texts = rows["text"].tolist()
    return drift.compare(
        indicator_matrix(shingles(texts, 1)),
        np.array([len(text) for text in texts]),
        rows["label"].to_numpy(str) if labelled else None,
        in_batch,
    )
