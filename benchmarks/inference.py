"""Rows per second of teacher and student: in PyTorch, and both exported in the same way, side by side in one run.

    python benchmarks/inference.py [--task TASK] [--pairs 7] [--threads 1]

Run in a project after `make run`: reads models/TASK and data/tokens/TASK, writes nothing there. All six models take
turns over the same test rows, each in its own tokens, at batch 1 (64 rows) and at batch 32 (512 rows sorted by
length); the exported student of the run is used in its format, the others are exported in the same way beside the
project. A pair is one turn of the student and of what it is held against; the median over the pairs counts, by the
clock and by processor time, which other programs on the machine disturb less. Tokenizing a text is timed by itself, as
it costs the same whatever computes. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import AutoTokenizer

from pipeline.architectures.exported import GRAPH, RECORD
from pipeline.evaluation.efficiency import machine
from pipeline.evaluation.table import read_texts
from pipeline.exporting.export import export_model
from pipeline.files import read_json
from pipeline.params import load_params
from pipeline.tasks import TASKS
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.prediction import model_inputs

ROWS = {1: 64, 32: 512}  # by the size of a batch
FORMATS = ("int8", "float32")
OURS = "student in int8"
# which two are held against each other, how many times as fast the second has to be, and at which sizes of a batch
GOALS = [
    ("teacher in PyTorch", OURS, 50, (1, 32)),
    ("teacher in int8", OURS, 15, (1, 32)),
    ("teacher in float32", "student in float32", 15, (1, 32)),
    ("student in PyTorch", OURS, 2, (1,)),
]
TIMES_SMALLER = 20


class Seconds(NamedTuple):
    """What a row took: by the clock, and of all threads of this process together."""

    wall: float
    processor: float


def exported(folder: Path, tokens: Path, given: Path | None, format_: Any, scratch: Path) -> Path:
    """Return the folder of a model's graph: `given` where that has the format, else one that is made in `scratch`."""
    if given and (given / GRAPH).is_file() and read_json(given / RECORD)["format"] == format_:
        return given
    export_model(folder, scratch, format_, TokenRows.load(tokens / "dev"), 512)
    return scratch


def turns(model: Any, rows: TokenRows) -> dict[int, Callable[[], Seconds]]:
    """Return by the size of a batch a function that lets the model read its share of the rows, and times it."""
    order = np.argsort(rows.lengths, kind="stable")

    def prepared(size: int) -> Callable[[], Seconds]:
        chosen = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), ROWS[size])).astype(int))].tolist()
        pad = model.config.pad_token_id
        parts = [chosen[start : start + size] for start in range(0, len(chosen), size)]
        batches = [model_inputs(model, rows, part, pad)[0] for part in parts]

        def turn() -> Seconds:
            wall, processor = time.perf_counter(), time.process_time()
            with torch.inference_mode():
                for batch in batches:
                    model(**batch)
            passed = time.perf_counter() - wall, time.process_time() - processor
            return Seconds(*(seconds / len(chosen) for seconds in passed))

        turn()  # the first call allocates
        return turn

    return {size: prepared(size) for size in ROWS}


def tokenizing(folder: Path, texts: list[str]) -> dict[str, float]:
    """Return the milliseconds that the student's tokenizer takes for a text, alone and among 32."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = {}
    for size, count in ROWS.items():
        started = time.perf_counter()
        for start in range(0, count, size):
            tokenizer(texts[start : start + size], truncation=True, padding=True, return_tensors="pt")
        found[str(size)] = round(1000 * (time.perf_counter() - started) / count, 4)
    return found


def compared(taken: Mapping[str, list[Seconds]], size: int) -> dict[str, Any]:
    """Return how many times a reference's throughput an exported student has: every pair, and the medians."""
    found = {}
    for reference, student, goal, sizes in GOALS:
        pairs = list(zip(taken[reference], taken[student], strict=True))
        wall = [round(theirs.wall / ours.wall, 2) for theirs, ours in pairs]
        processor = [theirs.processor / ours.processor for theirs, ours in pairs]
        median = statistics.median(wall)
        found[reference] = {"pairs": wall, "ratio": median, "processor_ratio": round(statistics.median(processor), 2)}
        if size in sizes:
            found[reference] |= {"goal": goal, "met": median >= goal}
    return found


def measure(models: Mapping[str, tuple[Any, TokenRows]], pairs: int) -> dict[str, Any]:
    """Return by the size of a batch the median milliseconds of a row of each model, and how they compare."""
    runs = {name: turns(model, rows) for name, (model, rows) in models.items()}
    figures: dict[str, Any] = {}
    for size in ROWS:
        taken: dict[str, list[Seconds]] = {name: [] for name in runs}
        for _ in range(pairs):
            for name, run in runs.items():
                taken[name].append(run[size]())
        rows = {name: statistics.median(each.wall for each in seconds) for name, seconds in taken.items()}
        for name, seconds in rows.items():
            print(f"batch {size}: {name}: {1000 * seconds:.4f} ms a row, {1 / seconds:,.0f} rows a second", flush=True)
        milliseconds = {name: round(1000 * seconds, 4) for name, seconds in rows.items()}
        figures[str(size)] = {"milliseconds_a_row": milliseconds, "times_faster": compared(taken, size)}
    return figures


def main() -> None:
    """Time the models and print a line for each and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    params = load_params(Path("params.yaml"))
    task = options.task or next(iter(params.tasks))
    models, tokens = Path("models") / task, Path("data/tokens") / task
    if not (models / "student").is_dir() or not tokens.is_dir():
        raise SystemExit(f"{models}/student: not there, expected what `make run` leaves in a project")
    busy = os.getloadavg()[0]
    torch.set_num_threads(options.threads)
    head = TASKS[params.tasks[task].type]().from_params(params.tasks[task])
    with tempfile.TemporaryDirectory() as scratch:
        folders = {f"{side} in PyTorch": models / side for side in ("teacher", "student")}
        for side, given in (("teacher", None), ("student", models / "exported")):
            for format_ in FORMATS:
                made = Path(scratch) / f"{side}-{format_}"
                folders[f"{side} in {format_}"] = exported(models / side, tokens / side, given, format_, made)
        rows = {side: TokenRows.load(tokens / side / "test") for side in ("teacher", "student")}
        loaded = {name: (head.load(folder).eval(), rows[name.split()[0]]) for name, folder in folders.items()}
        figures = measure(loaded, options.pairs)
        weights = models / "teacher/model.safetensors", folders[OURS] / GRAPH
        whole = folders["teacher in PyTorch"], folders[OURS]
        sizes = [path.stat().st_size for path in weights]
        folder_sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in whole]
        texts = read_texts(Path("data/transfer") / f"{task}.parquet")
        tokenized = tokenizing(folders[OURS], texts)
    smaller = {"weights": round(sizes[0] / sizes[1], 2), "folders": round(folder_sizes[0] / folder_sizes[1], 2)}
    print(
        json.dumps(
            {
                "machine": machine(),
                "load_before": busy,
                "threads": options.threads,
                "batches": figures,
                "bytes": {"teacher": sizes[0], OURS: sizes[1]},
                "times_smaller": smaller | {"goal": TIMES_SMALLER, "met": smaller["weights"] >= TIMES_SMALLER},
                "tokenizing_milliseconds_a_row": tokenized,
            }
        )
    )


if __name__ == "__main__":
    main()
