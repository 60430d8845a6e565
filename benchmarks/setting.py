"""The process that both sides of a comparison train in, as each of them would find it."""

import ctypes

import torch

from pipeline.params import RuntimeParams
from pipeline.training import runtime

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


def set_up(settings: RuntimeParams, *, ours: bool) -> None:
    """Set this process up as the pipeline does, or as the libraries find it: any kernel, memory as glibc manages it.

    glibc moves its thresholds with the blocks that are freed (mallopt, M_MMAP_THRESHOLD), which it no longer does once
    a program has set one. So they are put to their upper ends, where large tensors bring them in the first steps.
    """
    runtime.prepare(settings)
    if ours:
        return
    torch.use_deterministic_algorithms(False)
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(runtime.M_MMAP_MAX, 65536)
        adjust(M_MMAP_THRESHOLD, 32 * 2**20)
        adjust(runtime.M_TRIM_THRESHOLD, 64 * 2**20)
