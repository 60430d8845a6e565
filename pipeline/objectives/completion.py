"""A decoder alone that writes a text for another: it reads a prompt and is judged by the completion alone."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.objectives.sequence_to_sequence import NO_TOKEN


class CompletionLoss(nn.Module):
    """A causal language model and its summed loss on completions (Radford et al. 2018, equation 1, of those tokens).

    The head is computed where a token of a completion is to be predicted. model: transformers' GPT2LMHeadModel or
    LlamaForCausalLM.
    """

    def __init__(self, model: nn.Module, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.model: Any = model
        self.label_smoothing = label_smoothing

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return {"loss": summed cross-entropy, "count": tokens}; shapes as `collate_sequences` makes them.

        A row is its prompt, the padding behind it, and its completion: padding in between is neither seen nor counted
        in positions, so it is as if there were none. In training, smoothing mixes in the uniform distribution (Szegedy
        et al. 2016, section 7).
        """
        real = labels != NO_TOKEN
        read = torch.cat([attention_mask, real.long()], dim=1)
        states = self.model.base_model(
            input_ids=torch.cat([input_ids, labels.masked_fill(~real, 0)], dim=1),
            attention_mask=read,
            position_ids=(read.cumsum(dim=1) - 1).clamp(min=0),
            use_cache=False,
        ).last_hidden_state
        prompt = input_ids.shape[1]
        row, written = torch.nonzero(real, as_tuple=True)
        last_read = attention_mask.sum(dim=1)[row] - 1
        before = torch.where(written == 0, last_read, prompt + written - 1)  # where the token before each is
        scores = self.model.lm_head(states[row, before]).float()
        smoothing = self.label_smoothing if self.training else 0.0
        loss = F.cross_entropy(scores, labels[real], reduction="sum", label_smoothing=smoothing)
        return {"loss": loss, "count": real.sum()}
