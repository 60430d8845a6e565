"""Imported before transformers and torchdistill, which import torchvision where it is installed; for images, not here.

Beside a torch for processors alone, PyPI's torchvision has no operators of its own, and without these it cannot be
imported. Where torchvision fits, or is not there, nothing happens.
"""

from importlib.metadata import PackageNotFoundError, version

import torch

try:
    MISSING = torch.version.cuda is None and not version("torchvision").endswith("+cpu")
except PackageNotFoundError:
    MISSING = False
if MISSING:
    OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
