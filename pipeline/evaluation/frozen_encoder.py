"""Vectors of a language model as it is: the mean of a row's last hidden states, or those of its words."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.utils import logging

from pipeline.training import runtime
from pipeline.training.batches import Rows
from pipeline.training.prediction import predict_logits

BATCH_SIZE = 64


class TokenStates(nn.Module):
    """An encoder whose output for a row is each token's last hidden state."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.config: Any = encoder.config

    def forward(self, **inputs: Tensor) -> SimpleNamespace:
        """Return an object whose `logits` are the states, (rows, length, width), as `predict_logits` wants it."""
        return SimpleNamespace(logits=self.encoder(**inputs).last_hidden_state.float())


class MeanPooled(TokenStates):
    """An encoder whose output for a row is the mean of its hidden states over the row's tokens, padding left out."""

    def forward(self, **inputs: Tensor) -> SimpleNamespace:
        """Return an object whose `logits` are the vectors, (rows, width), as `predict_logits` wants it."""
        states = super().forward(**inputs).logits
        mask = inputs["attention_mask"][:, :, None].to(states.dtype)
        return SimpleNamespace(logits=(states * mask).sum(dim=1) / mask.sum(dim=1))


def frozen_vectors(
    read: type[TokenStates], folder: Path, splits: Mapping[str, Rows], dtype: torch.dtype, name: str = "frozen encoder"
) -> dict[str, np.ndarray]:
    """Return the vectors of each split's targets, float32 (targets, width), as `read` takes them from an encoder.

    `folder` is the encoder's, or that of a model it is a part of, `dtype` what matrix products are computed in, `name`
    what progress lines call it.
    """
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the head of the language model is left behind, and that is what is wanted
    encoder = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    logging.set_verbosity(verbosity)
    if encoder.config.is_encoder_decoder:
        encoder = encoder.get_encoder()
    model = read(encoder).to(runtime.device())
    return {
        split: predict_logits(
            model,
            rows,
            batch_size=BATCH_SIZE,
            pad_token_id=encoder.config.pad_token_id,
            dtype=dtype,
            name=f"{name}, {split}",
        )
        for split, rows in splits.items()
    }
