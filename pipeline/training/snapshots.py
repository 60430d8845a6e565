"""Weights and optimizer state as safetensors and plain JSON values: nothing pickled, every bit kept.

Where several processes train, a snapshot is whole and in the first one's hands; `spread` and `load_optimizer` give each
its part of it.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import distributed, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from pipeline.processes import rank
from pipeline.training import ranks


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


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor that may be divided among the processes as a whole one; all of them have to ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return this process's part of the first process's whole `value`, divided and placed as `tensor` is."""
    if not isinstance(tensor, DTensor):
        return value
    return distribute_tensor(value.to(tensor.device), tensor.device_mesh, tensor.placements)


def gather(trained: nn.Module, module: nn.Module) -> None:
    """Copy the weights that are trained into the first process's whole `module`, where these are two."""
    if trained is not module:
        targets = tensors_of(module)
        with torch.no_grad():
            for name, tensor in tensors_of(trained).items():
                value = whole(tensor)
                if rank() == 0:
                    targets[name].copy_(value)


def spread(module: nn.Module, trained: nn.Module) -> None:
    """Copy the weights of the first process's whole `module` into those that each process trains."""
    if ranks.count() > 1:
        sources = tensors_of(module)
        with torch.no_grad():
            for name, tensor in tensors_of(trained).items():
                tensor.copy_(like(tensor, sources[name]))
                if not isinstance(tensor, DTensor):
                    distributed.broadcast(tensor, src=0)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the optimizer's tensors, whole, and the random state of every process: all of them have to ask.

    The names are `INDEX.NAME` of the INDEX-th parameter and `random.RANK.DEVICE`.
    """
    state = optimizer.state_dict()["state"]
    tensors = {f"{index}.{name}": whole(value) for index, values in state.items() for name, value in values.items()}
    random = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        random["cuda"] = torch.cuda.get_rng_state()
    for number, states in enumerate(ranks.of_all(random)):
        tensors |= {f"random.{number}.{device}": value for device, value in states.items()}
    return tensors


def load_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], groups: list[dict[str, Any]]
) -> None:
    """Put back what `optimizer_tensors` returned, this process's random state included, and the parameter groups."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if not key.startswith("random."):
            index, name = key.split(".", 1)
            of_weights = tensor.shape == parameters[int(index)].shape  # the others count steps
            state.setdefault(int(index), {})[name] = like(parameters[int(index)], tensor) if of_weights else tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    torch.set_rng_state(tensors[f"random.{rank()}.cpu"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors[f"random.{rank()}.cuda"])
