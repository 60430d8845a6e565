"""The work folder of a training stage: locked, keyed by everything that determines the result, complete or ignored."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import nn

from pipeline.files import InputError, sha256_of_file, stable_hash, write_json
from pipeline.processes import rank
from pipeline.training import ranks, runtime

FOLDER = Path(".stillhouse/checkpoints")
MARKER = "complete.json"
KEY = "key.json"  # of a work folder: what its checkpoints belong to, for `stillhouse clean`
KEPT = 2
LOCK_TIMEOUT_SECONDS = 60.0  # an orphan notices the death of its parent within a step or two


@contextlib.contextmanager
def work_folder(stage: str, key: dict[str, Any]) -> Iterator[Path]:
    """Lock and yield the folder where `stage` keeps its checkpoints: `with work_folder("pretrain", key) as folder:`.

    `key` is the JSON-able rest of what determines the result: parameters and `content_hash` of every input; the code
    of the pipeline, library versions and the kind of processor are added here. So a checkpoint made by other code,
    parameters or data is never found. The folder is removed when the block ends well and stays when it raises.
    Of the processes of one training the first does all this; the others get the path alone.
    Raises RuntimeError when another process holds the folder, InputError when processes of one training differ in `key`
    or code.
    """
    determined = {"key": key, "code": code_hash()}
    if len(set(ranks.of_all(stable_hash(determined)))) > 1:
        raise InputError(
            f"{stage}: its inputs, params.yaml or code differ between the machines, expected the same on all"
        )
    whole_key = determined | {"runtime": runtime.fingerprint()}
    folder = FOLDER / f"{stage}-{stable_hash(whole_key)[:16]}"
    if rank():
        yield folder
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
    except Timeout:
        raise RuntimeError(f"{folder}: another process is training here, expected to be alone") from None
    try:
        folder.mkdir(exist_ok=True)  # whoever held the lock before may have finished and removed it
        write_json(folder / KEY, whole_key)
        yield folder
        shutil.rmtree(folder)
    finally:
        lock.release()


def code_hash() -> str:
    """Return one sha256 over every Python file of the pipeline package."""
    package = Path(__file__).parents[1]
    return stable_hash({str(file.relative_to(package)): sha256_of_file(file) for file in package.rglob("*.py")})


@contextlib.contextmanager
def saving(folder: Path, step: int) -> Iterator[Path]:
    """Yield an empty folder for the checkpoint of `step`; it counts from the moment the block has ended well.

    The marker with the sizes of all files is written last. The newest KEPT checkpoints stay, older ones go afterwards.
    """
    checkpoint = folder / f"step-{step:09d}"
    shutil.rmtree(checkpoint, ignore_errors=True)
    checkpoint.mkdir(parents=True)
    yield checkpoint
    files = sorted(checkpoint.iterdir())
    for file in files:
        _flush_to_disk(file)
    write_json(checkpoint / MARKER, {file.name: file.stat().st_size for file in files})
    for old in _checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)


def require_room(folder: Path, module: nn.Module) -> None:
    """Raise InputError where the disk has no room for the checkpoints of a training of `module` kept in `folder`.

    One holds the weights, the best weights so far and AdamW's two moments of every trained weight; while a new one is
    written the KEPT ones before it still stand.
    """
    tensors = [*module.parameters(), *module.buffers()]
    weights = sum(tensor.nbytes for tensor in tensors)
    moments = 2 * sum(parameter.nbytes for parameter in module.parameters() if parameter.requires_grad)
    folder.mkdir(parents=True, exist_ok=True)
    standing = sum(file.stat().st_size for checkpoint in _checkpoints(folder) for file in checkpoint.iterdir())
    needed, free = (KEPT + 1) * (2 * weights + moments) - standing, shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {free / 1e6:,.0f} MB free on its disk, expected {needed / 1e6:,.0f} MB for checkpoints; "
            f"`stillhouse clean` may free some"
        )


def newest(folder: Path) -> Path | None:
    """Return the newest complete checkpoint, or None; half-written ones are removed."""
    for checkpoint in _checkpoints(folder):
        if not is_complete(checkpoint):
            shutil.rmtree(checkpoint)
    return next(reversed(_checkpoints(folder)), None)


def is_complete(checkpoint: Path) -> bool:
    """Tell whether the marker stands there and every file it names has the size it names."""
    try:
        sizes: dict[str, int] = json.loads((checkpoint / MARKER).read_text(encoding="utf-8"))
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _flush_to_disk(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
