"""Weights and optimizer state as safetensors and plain JSON values: nothing pickled, every bit kept."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn


def tensors_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return parameters and buffers by name, each shared tensor once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def copy_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of `tensors_of(module)` that later steps leave alone."""
    return {name: tensor.detach().clone() for name, tensor in tensors_of(module).items()}


def restore(module: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Copy `tensors` into the module in place. Raises KeyError where one is missing."""
    with torch.no_grad():
        for name, tensor in tensors_of(module).items():
            tensor.copy_(tensors[name])


def save_tensors(tensors: dict[str, torch.Tensor], file: Path) -> None:
    """Write tensors as safetensors."""
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, file)


def load_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Read what `save_tensors` wrote, onto the processor."""
    return load_file(file)


def save_optimizer(optimizer: torch.optim.Optimizer, file: Path) -> list[dict[str, Any]]:
    """Write the optimizer's tensors and the random state; return its parameter groups, which are plain JSON values."""
    state = optimizer.state_dict()
    tensors = {f"{index}.{name}": value for index, values in state["state"].items() for name, value in values.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    save_tensors(tensors, file)
    return list(state["param_groups"])


def load_optimizer(optimizer: torch.optim.Optimizer, file: Path, groups: list[dict[str, Any]]) -> None:
    """Put back what `save_optimizer` wrote and returned, random state included."""
    tensors = load_tensors(file)
    torch.set_rng_state(tensors.pop("random.cpu"))
    if "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors.pop("random.cuda"))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})
