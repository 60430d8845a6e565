"""The teacher is run once: what it says about each row is kept on disk, memory-mapped, for all epochs and students.

An entry is written whole or not at all, under a hash of everything its bits depend on. One whose key or bytes are not
what its marker says is refused and made anew.
"""

import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.architectures.averaged import averaged
from pipeline.distillation.intermediate import State, layer_outputs
from pipeline.distillation.losses import likeliest_labels
from pipeline.distillation.teacher_outputs import TeacherOutputs
from pipeline.engine import Engine, map_in_order
from pipeline.files import replacing, sha256_of_file, stable_hash, write_json
from pipeline.training import runtime
from pipeline.training.batches import Row, Rows, row_at
from pipeline.training.prediction import inputs_of, targets_of
from pipeline.training.progress import Progress

BATCH_SIZE = 64
PADDING = f"right, to the longest of {BATCH_SIZE} rows sorted by length"  # padding changes a teacher's bits
MARKER = "complete.json"


class Likeliest(NamedTuple):
    """How many classes of each target are kept, and the temperature at which their probabilities are."""

    classes: int
    temperature: float


def cached_outputs(
    splits: Mapping[str, Rows],
    load_teacher: Callable[[], PreTrainedModel],
    *,
    folder: Path,
    inputs: dict[str, str],
    states: Sequence[State],
    dtype: torch.dtype,
    likeliest: Likeliest | None = None,
    engine: Engine = "local",
) -> dict[str, TeacherOutputs]:
    """Return the teacher's outputs for each split, from the cache in `folder` or by running the teacher.

    `inputs` says which teacher and which rows: the `content_hash` of each. Precision, threads, padding, states, library
    versions and the processor are added here. `load_teacher` is called only where no good entry stands. With
    `likeliest` that many classes of each target are kept. `engine` says where the teacher runs; on a card it is here.
    Raises InputError where a machine of the engine's would give other bits than this one.
    """
    key = {
        "inputs": inputs,
        "precision": str(dtype),
        "threads": torch.get_num_threads(),
        "padding": PADDING,
        "states": [str(state) for state in states],
        "likeliest": None if likeliest is None else list(likeliest),
        "machine": runtime.fingerprint(),
    }
    engine = engine if runtime.device().type == "cpu" else "local"

    def make(draft: Path) -> None:
        teacher = load_teacher()
        # its weights cast once: autocast would cast them anew for every batch, a fifth of the time
        torch.nn.Module.to(teacher, runtime.device(), dtype).eval()
        _run_teacher(draft, splits, teacher, states, likeliest, engine)

    entry = cached(folder, key, make)
    return {name: _open(entry / name, rows, states, likeliest) for name, rows in splits.items()}


def cached(folder: Path, key: dict[str, Any], make: Callable[[Path], None]) -> Path:
    """Return the entry of `key` in the cache `folder`; where no good one stands, `make` writes its npy files."""
    entry = folder / stable_hash(key)[:16]
    if not _is_good(entry, key):
        with replacing(entry) as draft:
            make(draft)
            hashes = {str(file.relative_to(draft)): sha256_of_file(file) for file in sorted(draft.rglob("*.npy"))}
            write_json(draft / MARKER, {"key": key, "files": hashes})
    return entry


def _is_good(entry: Path, key: dict[str, Any]) -> bool:
    """Tell whether the entry was finished, for this key, and still holds the bytes it was finished with."""
    try:
        marker = json.loads((entry / MARKER).read_text(encoding="utf-8"))
        return bool(
            marker["key"] == key
            and all(sha256_of_file(entry / file) == expected for file, expected in marker["files"].items())
        )
    except (OSError, ValueError, KeyError):
        return False


def _run_teacher(
    entry: Path,
    splits: Mapping[str, Rows],
    teacher: PreTrainedModel,
    states: Sequence[State],
    likeliest: Likeliest | None,
    engine: Engine,
) -> None:
    progress, done = Progress("teacher", sum(len(rows) for rows in splits.values()), step="row", unit="rows"), 0
    ask = functools.partial(_ask, runtime.setting(), _Teacher(teacher), states, likeliest)
    for name, rows in splits.items():
        outputs = _create(entry / name, rows, states, teacher.config, likeliest)
        order = np.argsort(rows.lengths, kind="stable").tolist()
        batches = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]
        read = ([row_at(rows, row) for row in batch] for batch in batches)
        answers = map_in_order(ask, read, engine=engine, cores=torch.get_num_threads())
        for batch, said in zip(batches, answers, strict=True):
            _fill(outputs, targets_of(rows, batch), batch, said)
            done += len(batch)
            if progress.advance(len(batch)):
                progress.show(done)


@dataclass(frozen=True)
class _Teacher:
    """A teacher that goes to another process as configuration and weights; what transformers hooks to it stays here."""

    model: Any

    def __reduce__(self) -> tuple[Any, ...]:
        members = getattr(self.model, "members", [self.model])
        parts = [(type(member), member.config, member.state_dict()) for member in members]
        return _Teacher.rebuilt, (parts, members[0].dtype)

    @staticmethod
    def rebuilt(
        parts: list[tuple[type[PreTrainedModel], Any, dict[str, torch.Tensor]]], dtype: torch.dtype
    ) -> "_Teacher":
        members = []
        for kind, config, weights in parts:
            members.append(kind(config))
            members[-1].load_state_dict(weights)
        return _Teacher(torch.nn.Module.to(averaged(members), dtype).eval())


def _ask(
    setting: runtime.Setting,
    teacher: _Teacher,
    states: Sequence[State],
    likeliest: Likeliest | None,
    batch: Sequence[Row],
) -> TeacherOutputs:
    """Return what the teacher says about the rows of a batch."""
    runtime.compute_as(setting)
    inputs, positions = inputs_of(teacher.model, batch, teacher.model.config.pad_token_id)
    with torch.inference_mode():
        found = layer_outputs(teacher.model, inputs, positions, states).to(torch.float32, torch.device("cpu"))
    lengths = np.array([len(row["input_ids"]) for row in batch])
    targets = np.cumsum([0] + [len(row["positions"]) for row in batch])
    without_padding = {
        state: np.concatenate([row[:length] for row, length in zip(value.numpy(), lengths, strict=True)]).astype(
            np.float16
        )
        for state, value in found.states.items()
    }
    if likeliest is None:
        return TeacherOutputs(lengths, targets, found.logits.numpy(), without_padding)
    kept, classes = likeliest_labels(found.logits, *likeliest)
    return TeacherOutputs(lengths, targets, kept.numpy(), without_padding, classes.numpy())


def _fill(outputs: TeacherOutputs, chosen: np.ndarray, batch: Sequence[int], said: TeacherOutputs) -> None:
    """Copy what the teacher says about the rows `batch`, and their targets `chosen`, into the arrays on disk."""
    outputs.logits[chosen] = said.logits
    if outputs.likeliest is not None:
        outputs.likeliest[chosen] = said.likeliest
    for index, row in enumerate(batch if outputs.states else ()):
        for state, array in outputs[row].states.items():
            array[:] = said[index].states[state]


def _create(
    folder: Path, rows: Rows, states: Sequence[State], teacher: Any, likeliest: Likeliest | None
) -> TeacherOutputs:
    folder.mkdir(parents=True)
    lengths = rows.lengths

    def array(name: str, shape: tuple[int, int], dtype: type | np.dtype) -> np.ndarray:
        file = folder / f"{name}.npy"
        made = np.lib.format.open_memmap(file, mode="w+", shape=shape, dtype=dtype)
        with open(file, "rb+") as reserved:  # a disk that fills up later would end the process without a word
            os.posix_fallocate(reserved.fileno(), 0, file.stat().st_size)
        return made

    targets, tokens, width = int(rows.targets[-1]), int(lengths.sum()), teacher.hidden_size
    classes = teacher.num_labels if likeliest is None else likeliest.classes + 1
    ids = np.dtype(np.uint16 if likeliest and teacher.vocab_size <= 2**16 else np.uint32)
    return TeacherOutputs(
        lengths,
        rows.targets,
        array("logits", (targets, classes), np.float32),
        {state: array(str(state), (tokens, width), np.float16) for state in states},
        None if likeliest is None else array("likeliest", (targets, likeliest.classes), ids),
    )


def _open(folder: Path, rows: Rows, states: Sequence[State], likeliest: Likeliest | None) -> TeacherOutputs:
    def array(name: str) -> np.ndarray:
        return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))

    return TeacherOutputs(
        rows.lengths,
        rows.targets,
        array("logits"),
        {state: array(str(state)) for state in states},
        None if likeliest is None else array("likeliest"),
    )
