"""Weights divided among the processes of one training: FSDP.

torch's `fully_shard` is what Accelerate calls as well; Accelerate itself divides nothing on a processor, where it would
train replicas without a word. Source: Zhao et al. 2023, "PyTorch FSDP"; Rajbhandari et al. 2020, "ZeRO", stage 3.
"""

import copy
from typing import Any

from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from pipeline.training import ranks


def sharded(module: nn.Module) -> nn.Module:
    """Return a copy of `module` whose parameters are divided among all processes; `module` moves off the card.

    Each layer is gathered for its own forward and backward pass and let go again. What stands outside of layers, and
    the last layer of each stack, of which a classifier computes parts by hand, is gathered for the whole step.
    """
    trained: Any = copy.deepcopy(module)
    mesh = init_device_mesh(next(module.parameters()).device.type, (ranks.count(),))
    for part in list(trained.modules()):
        if isinstance(part, nn.ModuleList):
            for layer in list(part)[:-1]:
                fully_shard(layer, mesh=mesh)
    fully_shard(trained, mesh=mesh)
    trained.is_distributed_loading_by_transformers = True  # Trainer's word for: leave it as it is, no DDP around it
    module.to("cpu")
    return trained
