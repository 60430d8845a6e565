"""What the bits of a result depend on besides data and weights: threads, seed, device, precision."""

import ctypes
import os
from typing import TYPE_CHECKING, NamedTuple

import torch

from pipeline.files import InputError
from pipeline.processes import local_rank
from pipeline.training import ranks

if TYPE_CHECKING:
    from pipeline.params import RuntimeParams

# of glibc's malloc.h: when freed memory goes back to the system, and how many blocks may come straight from it
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def prepare(runtime: "RuntimeParams") -> torch.dtype:
    """Set threads, seed and deterministic kernels for this process and return the dtype to autocast to.

    Where torchrun has started it as one of several, it meets the others.

    bfloat16 where `precision` asks for it, or where it is `auto` and the processor computes in it; else float32, which
    means no autocast.
    """
    ranks.meet(runtime.processes)
    _keep_freed_memory()
    torch.set_num_threads(runtime.threads)
    torch.manual_seed(runtime.seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by CUDA when its first matrix product runs
    # a card has operations without a deterministic kernel, there a warning is all one can have
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    # it costs a pass over every new tensor, and all of them are written before they are read
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return autocast_dtype(runtime)


def _keep_freed_memory() -> None:
    """Have glibc keep what tensors free for the next ones.

    Else each large one is given back to the system and taken from it again, which has to clear it page by page: a fifth
    of the time of a language model with many words.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:  # other systems have other allocators
        adjust(M_MMAP_MAX, 0)
        adjust(M_TRIM_THRESHOLD, 2**31 - 1)


class Setting(NamedTuple):
    """What a process computes with, as `prepare` has set it, and on what."""

    threads: int
    deterministic: bool
    machine: dict[str, str]


def setting() -> Setting:
    """Return the setting of this process."""
    return Setting(torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), fingerprint())


def compute_as(given: Setting) -> None:
    """Have this process compute as another does, from which `given` is; raise InputError where its machine does not."""
    torch.set_num_threads(given.threads)
    torch.use_deterministic_algorithms(given.deterministic, warn_only=torch.cuda.is_available())
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if (found := fingerprint()) != given.machine:
        raise InputError(
            f"engine: a machine of Ray's computes with {found}, expected {given.machine}, as the one that asks"
        )


def autocast_dtype(runtime: "RuntimeParams") -> torch.dtype:
    """Return the dtype that `precision` means on this machine."""
    if runtime.precision == "auto":
        return torch.bfloat16 if computes_in_bfloat16() else torch.float32
    return torch.bfloat16 if runtime.precision == "bfloat16" else torch.float32


def computes_in_bfloat16() -> bool:
    """Tell whether the device multiplies bfloat16 matrices in hardware (AVX-512 BF16, AMX, a recent card)."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def device() -> torch.device:
    """Return the CUDA card of this process, the first one where it is alone, or the processor where there is none."""
    return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")


def autocast(dtype: torch.dtype) -> torch.autocast:
    """Return the context that computes matrix products in `dtype`; for float32 it changes nothing."""
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def fingerprint() -> dict[str, str]:
    """Return what of the machine and the libraries may change a bit of the result; it is part of a checkpoint's key."""
    import numpy
    import transformers

    card = torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "transformers": transformers.__version__, "numpy": numpy.__version__} | {
        "device": f"{card}{' bfloat16' if computes_in_bfloat16() else ''}"
    }
