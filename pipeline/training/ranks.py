"""The processes of one training: each computes its share of every batch, the first one alone reads and writes files.

Started by torchrun (`launching.py`), a process has a rank, and all ranks have the same weights after every step. What
only the first one knows (a checkpoint, a figure of dev, that it is time to save) it tells the others here.
"""

import atexit
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from pipeline.files import InputError
from pipeline.processes import is_rank, local_rank, rank

# the others wait while the first one evaluates or asks the teacher; a process that dies is noticed at once all the same
LONGEST_WAIT = timedelta(days=1)

Value = TypeVar("Value")


def meet(processes: int) -> None:
    """Wait for the other processes of this training, where torchrun has started several.

    Raises InputError where these are not as many as `processes`, the parameter.
    """
    if is_rank() and int(os.environ["WORLD_SIZE"]) != processes:
        raise InputError(f"runtime.processes: must be {os.environ['WORLD_SIZE']}, as torchrun has it, got {processes}")
    if is_rank() and not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(local_rank())
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=LONGEST_WAIT)
        atexit.register(distributed.destroy_process_group)


def count() -> int:
    """Return how many processes train together; 1 where this one is alone."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def from_first(make: Callable[[], Value]) -> Value:
    """Return in every process what `make` returns in the first, which alone calls it."""
    if count() == 1:
        return make()
    values = [make() if rank() == 0 else None]
    distributed.broadcast_object_list(values, src=0)
    return values[0]  # type: ignore[return-value]


def of_all(value: Value) -> list[Value]:
    """Return the `value` of every process, in the order of their ranks."""
    if count() == 1:
        return [value]
    values: list[Value] = [value] * count()
    distributed.all_gather_object(values, value)
    return values


def add_up(tensor: torch.Tensor) -> None:
    """Replace `tensor` in every process by its sum over all of them."""
    if count() > 1:
        distributed.all_reduce(tensor)


def one_first(make: Callable[[], Value]) -> Value:
    """Return what `make` returns, one process of each machine calling it before the others: they find its files."""
    if count() > 1 and local_rank() > 0:
        distributed.barrier()
    value = make()
    if count() > 1 and local_rank() == 0:
        distributed.barrier()
    return value
