"""The teacher is run once: what it says about each row is kept on disk, memory-mapped, for all epochs and students."""

import functools
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.architectures.averaged import averaged
from pipeline.distillation.cache_entry import cached
from pipeline.distillation.intermediate import State, layer_outputs
from pipeline.distillation.losses import likeliest_labels
from pipeline.distillation.teacher_outputs import TeacherOutputs
from pipeline.engine import Engine, map_in_order
from pipeline.files import InputError
from pipeline.training import runtime
from pipeline.training.batches import Row, Rows, row_at
from pipeline.training.prediction import inputs_of, targets_of
from pipeline.training.progress import Progress

BATCH_SIZE = 64
PADDING = f"right, to the longest of {BATCH_SIZE} rows sorted by length"  # padding changes a teacher's bits


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
    keep_states: bool = True,
    engine: Engine = "local",
) -> dict[str, TeacherOutputs]:
    """Return the teacher's outputs for each split, from the cache in `folder` or by running the teacher.

    `inputs` says which teacher and which rows: the `content_hash` of each. Precision, threads, padding, states, library
    versions and the processor are added here. `load_teacher` is called only where no good entry stands. With
    `likeliest` that many classes of each target are kept. Without `keep_states` the states are computed, as logits have
    other bits where they are not, and dropped. `engine` says where the teacher runs; on a card it is here.
    Raises InputError where a machine of the engine's would give other bits than this one, or the disk has no room for
    the states.
    """
    key = {
        "inputs": inputs,
        "precision": str(dtype),
        "threads": torch.get_num_threads(),
        "padding": PADDING,
        "states": [str(state) for state in states],
        "states_kept": bool(states and keep_states),
        "likeliest": None if likeliest is None else list(likeliest),
        "machine": runtime.fingerprint(),
    }
    engine = engine if runtime.device().type == "cpu" else "local"

    kept = tuple(states) if keep_states else ()

    def make(draft: Path) -> None:
        teacher = load_teacher()
        _require_room(draft.parent, sum(int(rows.lengths.sum()) for rows in splits.values()), kept, teacher.config)
        ask = asking(teacher, states, dtype, likeliest)

        def create(name: str) -> TeacherOutputs:
            return _create(draft / name, splits[name], kept, teacher.config, likeliest)

        _run_teacher(splits, ask, create, engine)

    entry = cached(folder, key, make)
    return {name: _open(entry / name, rows, kept, likeliest) for name, rows in splits.items()}


def asking(
    teacher: PreTrainedModel, states: Sequence[State], dtype: torch.dtype, likeliest: Likeliest | None
) -> Callable[..., TeacherOutputs]:
    """Return what asks `teacher`, which it casts to `dtype`, about a batch of rows.

    It takes the rows and, where they are to be padded to more than the longest of them, a number of tokens.
    """
    # its weights cast once: autocast would cast them anew for every batch, a fifth of the time
    torch.nn.Module.to(teacher, runtime.device(), dtype).eval()
    return functools.partial(_ask, runtime.setting(), _Teacher(teacher), states, likeliest)


def _require_room(folder: Path, tokens: int, states: Sequence[State], teacher: Any) -> None:
    """Raise InputError where the disk of `folder` has no room for the states of so many tokens."""
    needed = tokens * len(states) * teacher.hidden_size * np.dtype(np.float16).itemsize
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {free / 1e6:,.0f} MB free on its disk, expected {needed / 1e6:,.0f} MB for what the teacher's "
            f"layers say; `stillhouse clean` may free some"
        )


def cache_batches(lengths: np.ndarray) -> list[list[int]]:
    """Return which rows the teacher is asked about together when its cache is made."""
    order = np.argsort(lengths, kind="stable").tolist()
    return [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]


def _run_teacher(
    splits: Mapping[str, Rows],
    ask: Callable[[Sequence[Row]], TeacherOutputs],
    create: Callable[[str], TeacherOutputs],
    engine: Engine,
) -> None:
    progress, done = Progress("teacher", sum(len(rows) for rows in splits.values()), step="row", unit="rows"), 0
    for name, rows in splits.items():
        outputs, batches = create(name), cache_batches(rows.lengths)
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
    length: int = 0,
) -> TeacherOutputs:
    """Return what the teacher says about the rows of a batch, padded to at least `length` tokens."""
    runtime.compute_as(setting)
    inputs, positions = inputs_of(teacher.model, batch, teacher.model.config.pad_token_id, length)
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
