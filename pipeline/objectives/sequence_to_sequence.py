"""Teacher forcing, which all that an encoder-decoder learns shares: read one row, predict each token of another."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

NO_TOKEN = -100  # transformers' mark for what is behind the end of a row of labels


def collate_sequences(
    sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], pad_token_id: int
) -> dict[str, Tensor]:
    """Return rows of ids, what is read and what is to be written, as a batch.

    input_ids and attention_mask: int64 (rows, longest source). labels: int64 (rows, longest target), NO_TOKEN behind
    the end of each.
    """
    read, written = ([torch.from_numpy(row.astype(np.int64)) for row in rows] for rows in (sources, targets))
    return {
        "input_ids": pad_sequence(read, batch_first=True, padding_value=pad_token_id),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in read], batch_first=True),
        "labels": pad_sequence(written, batch_first=True, padding_value=NO_TOKEN),
    }


class SequenceToSequenceLoss(nn.Module):
    """An encoder-decoder and its summed loss; the output layer is computed where there is a token to predict."""

    def __init__(self, model: nn.Module, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.model: Any = model
        self.label_smoothing = label_smoothing

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return {"loss": summed cross-entropy, "count": tokens}; shapes as `collate_sequences` makes them.

        The decoder reads the labels one place to the right, behind the model's start token (Vaswani et al. 2017,
        section 3.1). In training, smoothing mixes in the uniform distribution (Szegedy et al. 2016, section 7).
        """
        read = self.model.get_encoder()(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        states = self.model.get_decoder()(
            input_ids=self.model.prepare_decoder_input_ids_from_labels(labels),
            encoder_hidden_states=read,
            encoder_attention_mask=attention_mask,
            use_cache=False,
        ).last_hidden_state
        real = labels != NO_TOKEN
        scores = token_scores(self.model, states[real]).float()
        smoothing = self.label_smoothing if self.training else 0.0
        loss = F.cross_entropy(scores, labels[real], reduction="sum", label_smoothing=smoothing)
        return {"loss": loss, "count": real.sum()}


def token_scores(model: Any, states: Tensor) -> Tensor:
    """Return the logits, (tokens, vocabulary), of the decoder's states, (tokens, width), as the model's forward does.

    T5 scales the states where its output layer is the matrix of embeddings; BART and Marian add a constant.
    """
    if getattr(model.config, "scale_decoder_outputs", False):
        states = states * model.config.d_model**-0.5
    scores: Tensor = model.lm_head(states)
    constant = getattr(model, "final_logits_bias", None)
    return scores if constant is None else scores + constant
