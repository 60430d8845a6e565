"""What a model costs: parameters, bytes on disk, time for a row, of PyTorch in float32 or of what was exported."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.training.batches import Rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH_SIZE = 32
THROUGHPUT_ROWS = 512
LATENCY_ROWS = 64
WRITING_SHARE = 1 / 8  # of these rows where texts are written, a hundred times the work
REPETITIONS = 5


def size(folder: Path, served: Path | None = None) -> dict[str, int]:
    """Return `parameters` and `bytes` of a `save_pretrained` folder; all its files count, the tokenizer's too.

    Where the model is served in another form, the bytes are those of the folder `served`.
    """
    from safetensors import safe_open

    shapes = []
    for file in folder.rglob("model.safetensors"):  # of a teacher of several seeds there are several
        with safe_open(file, framework="numpy") as weights:
            shapes += [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118 - no mapping
    files = [path for path in (served or folder).rglob("*") if path.is_file()]
    return {
        "parameters": int(sum(np.prod(shape) for shape in shapes)),
        "bytes": sum(path.stat().st_size for path in files),
    }


def machine() -> str:
    """Name the processor and the number of cores this process may use, which timings depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else platform.machine()}, {cores} cores"


def compare(models: Mapping[str, tuple["PreTrainedModel", Rows]], *, threads: int) -> dict[str, Any]:
    """Time models against each other on this machine's processor, each with the test rows in its tokens.

    Returns for each model `rows_per_second` at batch 32 over rows sorted by length, `latency_milliseconds` at batch 1
    and `latency_milliseconds_batch_32`. The models take turns, so that whatever else the machine does hits all of them,
    and the median of REPETITIONS turns counts.
    """
    import torch

    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    runs = {name: _timed_runs(model, rows) for name, (model, rows) in models.items()}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(REPETITIONS):
        for name, (throughput, latency) in runs.items():
            seconds[name].append((throughput(), latency()))
    torch.set_num_threads(threads_before)
    return {name: _figures(turns) for name, turns in seconds.items()}


def _figures(turns: list[tuple[float, float]]) -> dict[str, float]:
    per_row, latency = (statistics.median(column) for column in zip(*turns, strict=True))
    return {
        "rows_per_second": round(1 / per_row, 1),
        "latency_milliseconds": round(1000 * latency, 3),
        "latency_milliseconds_batch_32": round(1000 * BATCH_SIZE * per_row, 3),
    }


def _timed_runs(model: "PreTrainedModel", rows: Rows) -> tuple[Callable[[], float], Callable[[], float]]:
    """Return two functions that run the model: seconds a row at batch 32, and median seconds of a single row.

    A model that writes is timed at that, as its own generation settings say.
    """
    import torch

    from pipeline.training.prediction import model_inputs, prompts, writes

    model.eval()
    order = np.argsort(rows.lengths, kind="stable")
    writing = writes(model)
    answer: Any = model.generate if writing else model
    share = WRITING_SHARE if writing else 1
    sample = order[_evenly(len(order), round(share * THROUGHPUT_ROWS))]
    batches = [sample[start : start + BATCH_SIZE] for start in range(0, len(sample), BATCH_SIZE)]

    def read(batch: list[int]) -> dict[str, torch.Tensor]:
        if writing:
            return prompts(model, rows, batch)
        return model_inputs(model, rows, batch, model.config.pad_token_id)[0]

    padded = [read(batch.tolist()) for batch in batches]
    single = [read([int(row)]) for row in order[_evenly(len(order), round(share * LATENCY_ROWS))]]

    def seconds(inputs: dict[str, torch.Tensor]) -> float:
        started = time.perf_counter()
        with torch.inference_mode():
            answer(**inputs)
        return time.perf_counter() - started

    seconds(padded[-1])  # the first call allocates
    return (
        lambda: sum(seconds(batch) for batch in padded) / len(sample),
        lambda: statistics.median(seconds(row) for row in single),
    )


def _evenly(rows: int, wanted: int) -> np.ndarray:
    return np.unique(np.linspace(0, rows - 1, min(rows, wanted)).astype(int))
