"""Sequence-level distillation: what the teacher writes for each row is what the student learns to write.

Source: Kim & Rush 2016, "Sequence-Level Knowledge Distillation", section 3.2: the likeliest text, as beam search finds
it, stands for all of the teacher's distribution. It is written once, and kept beside other outputs of teachers.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.distillation.cache_entry import cached
from pipeline.training import runtime
from pipeline.training.batches import Rows

BATCH_SIZE = 64
Write = Callable[[PreTrainedModel, Rows, str], list[np.ndarray]]


def cached_texts(
    splits: Mapping[str, Rows],
    load_teacher: Callable[[], PreTrainedModel],
    write: Write,
    *,
    folder: Path,
    inputs: dict[str, str],
    generation: dict[str, Any],
    dtype: torch.dtype,
) -> dict[str, list[np.ndarray]]:
    """Return the ids that the teacher writes for the rows of each split, from the cache in `folder` or by `write`.

    `inputs` says which teacher and which rows: the `content_hash` of each; `generation` how it writes. Precision,
    threads, library versions and the processor are added here. `write(teacher, rows, split)` returns an array a row.
    """
    key = {
        "inputs": inputs,
        "generation": generation,
        "precision": str(dtype),
        "threads": torch.get_num_threads(),
        "batch_size": BATCH_SIZE,
        "machine": runtime.fingerprint(),
    }

    def make(draft: Path) -> None:
        teacher = load_teacher()
        torch.nn.Module.to(teacher, runtime.device(), dtype)  # cast once: autocast would do it for every token
        for name, rows in splits.items():
            texts = write(teacher, rows, name)
            (draft / name).mkdir(parents=True)
            ends = np.cumsum([0] + [len(ids) for ids in texts], dtype=np.int64)
            np.save(draft / name / "ids.npy", np.concatenate([*texts, np.zeros(0, np.int64)]), allow_pickle=False)
            np.save(draft / name / "ends.npy", ends, allow_pickle=False)

    entry = cached(folder, key, make)
    return {name: _read(entry / name) for name in splits}


def _read(folder: Path) -> list[np.ndarray]:
    ids, ends = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("ids", "ends"))
    return np.split(ids, ends[1:-1]) if len(ends) > 1 else []
