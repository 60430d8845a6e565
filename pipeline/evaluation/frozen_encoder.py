"""Sentence vectors of a language model as it is: the mean of its last hidden states."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.utils import logging

from pipeline.training import runtime
from pipeline.training.prediction import Rows, predict_logits

BATCH_SIZE = 64


class MeanPooled(nn.Module):
    """An encoder whose output for a row is the mean of its hidden states over the row's tokens, padding left out."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        """Return an object whose `logits` are the vectors, (rows, width), as `predict_logits` wants it."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        mask = attention_mask[:, :, None].to(states.dtype)
        return SimpleNamespace(logits=(states * mask).sum(dim=1) / mask.sum(dim=1))


def sentence_vectors(folder: Path, splits: Mapping[str, Rows], dtype: torch.dtype) -> dict[str, np.ndarray]:
    """Return the vectors of each split's rows, float32 (rows, width), from the encoder in `folder`.

    `dtype` is what matrix products are computed in.
    """
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the head of the language model is left behind, and that is what is wanted
    encoder = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    logging.set_verbosity(verbosity)
    model = MeanPooled(encoder).to(runtime.device())
    return {
        name: predict_logits(
            model,
            rows,
            batch_size=BATCH_SIZE,
            pad_token_id=encoder.config.pad_token_id,
            dtype=dtype,
            name=f"frozen encoder, {name}",
        )
        for name, rows in splits.items()
    }
