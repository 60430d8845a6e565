"""A task by several seeds: accuracy of its models, and what the student keeps, with intervals over rows and seeds.

    python benchmarks/seeds.py FOLDER FOLDER … [--task T] [--samples 10000]

Each FOLDER holds the `params.yaml` and `reports` of a finished run of a task that labels texts; their parameters
differ in `runtime.seed` alone. An interval of 95 % is of a bootstrap that draws the runs and the test rows with
replacement, the same rows for every model and run, as a row is hard for all of them. Few runs tell little of how runs
differ, so beside it stands the figure of each. The last line is one JSON object.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.evaluation.significance import percentile_interval
from pipeline.files import read_json
from pipeline.params import read_yaml

CONFIDENCE = 0.95
STUDENTS = ("student", "student_in_pytorch", "undistilled_student", "distilled_tfidf_logistic_regression")


def hits(folder: Path, task: str) -> dict[str, np.ndarray]:
    """Return of the teacher and each student, bool (rows,), which test rows it has right, in the order of their ids."""
    table = pq.read_table(folder / "reports" / task / "predictions.parquet").sort_by("id")
    actual = table["label"].to_numpy()
    return {name: table[name].to_numpy() == actual for name in ("teacher", *STUDENTS) if name in table.column_names}


def seed_of(folders: list[Path]) -> list[int]:
    """Return the seed of each run; end where they differ in anything else or have one seed twice."""
    values = [read_yaml(folder / "params.yaml") for folder in folders]
    seeds = [one["runtime"].pop("seed") for one in values]
    for folder, one in zip(folders, values, strict=True):
        if one != values[0]:
            raise SystemExit(f"{folder}/params.yaml: differs from {folders[0]}/params.yaml, expected another seed only")
    if len(set(seeds)) < len(seeds):
        raise SystemExit(f"{', '.join(map(str, folders))}: seeds {seeds}, expected each once")
    return seeds


def over_rows_and_seeds(right: np.ndarray, samples: int) -> np.ndarray:
    """Return the mean of `right`, (runs, models, rows), on resamples of runs and rows, (samples, models)."""
    runs, _, rows = right.shape
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(samples):
        often = generator.multinomial(rows, np.full(rows, 1 / rows)) / rows
        drawn.append((right[generator.integers(runs, size=runs)] @ often).mean(axis=0))
    return np.array(drawn)


def compared(right: np.ndarray, names: list[str], samples: int) -> dict[str, Any]:
    """Return for each model its accuracy, and for each student the share of its teacher's that it keeps."""
    each, drawn = right.mean(axis=2), over_rows_and_seeds(right, samples)
    found: dict[str, Any] = {}
    for place, name in enumerate(names):
        found[name] = {"accuracy": told(each[:, place], drawn[:, place])}
        if place:
            found[name]["kept"] = told(each[:, place] / each[:, 0], drawn[:, place] / drawn[:, 0])
    taught, alone = names.index("student_in_pytorch"), names.index("undistilled_student")
    found["gain"] = told(each[:, taught] - each[:, alone], drawn[:, taught] - drawn[:, alone])
    return found


def told(each: np.ndarray, drawn: np.ndarray) -> dict[str, Any]:
    """Return a figure's mean over the runs, its interval and that of each run."""
    interval = [round(bound, 4) for bound in percentile_interval(drawn, CONFIDENCE)]
    return {"mean": round(float(each.mean()), 4), "interval": interval, "each": [round(float(one), 4) for one in each]}


def main() -> None:
    """Print the models' figures and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--task")
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    seeds = seed_of(options.folders)
    task = options.task or next(iter(read_yaml(options.folders[0] / "params.yaml")["tasks"]))
    found = [hits(folder, task) for folder in options.folders]
    names = [*found[0]]
    right = np.array([[run[name] for name in names] for run in found], dtype=np.float64)
    evaluations = [read_json(folder / "reports" / task / "evaluation.json") for folder in options.folders]
    bytes_ = {side: evaluations[0][side]["bytes"] for side in ("teacher", "student")}
    result = {"task": task, "seeds": seeds, "rows": right.shape[2], "bytes": bytes_}
    result |= compared(right, names, options.samples)
    for name in names:
        print(f"{name}: {result[name]}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
