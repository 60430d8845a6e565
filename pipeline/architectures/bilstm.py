"""A BiLSTM over word embeddings, for students alone. Source: Tang et al. 2019, "Distilling Task-Specific Knowledge from
BERT into Simple Neural Networks", section 3.1.

A text is read from both ends; what both readings end with, or have at a token, goes through a layer of ReLUs to the
answer. Theirs has embeddings of 300, LSTMs of 150 units a direction and 200 ReLUs. transformers has no such model: this
file alone, beside torch and transformers, makes its Auto classes load one, and is registered with each student of it.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput, TokenClassifierOutput

if TYPE_CHECKING:
    from pipeline.params import ArchitectureParams


class BilstmConfig(PreTrainedConfig):
    """The shape of a BiLSTM.

    hidden_size is the width of the embeddings and of the states, half of which are each direction's; intermediate_size
    counts the ReLUs.
    """

    model_type = "bilstm"

    vocab_size: int = 30522
    hidden_size: int = 300
    num_hidden_layers: int = 1
    intermediate_size: int = 200
    dropout: float = 0.0
    pad_token_id: int | None = 0


class BilstmPreTrainedModel(PreTrainedModel):
    """What all its heads share."""

    config_class = BilstmConfig
    base_model_prefix = "bilstm"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.LSTM | nn.Embedding):
            module.reset_parameters()  # torch's own: no norm makes up for others behind these layers


class BilstmModel(BilstmPreTrainedModel):
    """Word embeddings and the LSTMs, without a head."""

    def __init__(self, config: BilstmConfig) -> None:
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.dropout = nn.Dropout(config.dropout)
        self.lstm = nn.LSTM(
            config.hidden_size,
            config.hidden_size // 2,
            num_layers=config.num_hidden_layers,
            dropout=config.dropout if config.num_hidden_layers > 1 else 0.0,
            batch_first=True,
            bidirectional=True,
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the word embeddings, under the name that transformers asks for."""
        return self.word_embeddings

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states of all tokens, (rows, length, width), and those that both readings end with, (rows, width).

        input_ids, attention_mask: int64 (rows, length), padded on the right. Each row is read to its own end, and from
        there backwards, so padding changes nothing; its states are 0.
        """
        embedded = self.dropout(self.word_embeddings(input_ids))
        lengths = attention_mask.sum(dim=1).cpu()
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        states, (last, _) = self.lstm(packed)
        padded, _ = pad_packed_sequence(states, batch_first=True, total_length=input_ids.shape[1])
        return padded, torch.cat([last[-2], last[-1]], dim=-1)


class BilstmHead(BilstmPreTrainedModel):
    """A BiLSTM with ReLUs and a linear layer behind it."""

    def __init__(self, config: BilstmConfig) -> None:
        super().__init__(config)
        self.bilstm = BilstmModel(config)
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.intermediate_size, config.num_labels or 0)
        self.post_init()

    def answer(self, states: Tensor) -> Tensor:
        """Return logits, (..., classes), of states, (..., width)."""
        logits: Tensor = self.classifier(self.dropout(self.dense(states).relu()))
        return logits


class BilstmForSequenceClassification(BilstmHead):
    """One answer for a whole text."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SequenceClassifierOutput:
        """Return an object with `logits`, (rows, classes); arguments as BilstmModel has them."""
        return SequenceClassifierOutput(logits=self.answer(self.bilstm(input_ids, attention_mask)[1]))


class BilstmForTokenClassification(BilstmHead):
    """One answer for each token."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> TokenClassifierOutput:
        """Return an object with `logits`, (rows, length, classes); arguments as BilstmModel has them."""
        return TokenClassifierOutput(logits=self.answer(self.bilstm(input_ids, attention_mask)[0]))


HEADS: dict[str, type[PreTrainedModel]] = {
    "text_classification": BilstmForSequenceClassification,
    "multi_label_classification": BilstmForSequenceClassification,
    "token_classification": BilstmForTokenClassification,
}
# again where the copy that was registered with a student is imported beside this one
AutoConfig.register("bilstm", BilstmConfig, exist_ok=True)
AutoModelForSequenceClassification.register(BilstmConfig, BilstmForSequenceClassification, exist_ok=True)
AutoModelForTokenClassification.register(BilstmConfig, BilstmForTokenClassification, exist_ok=True)


def build(
    architecture: "ArchitectureParams", *, head: str, vocabulary_size: int, pad_token_id: int, **settings: Any
) -> PreTrainedModel:
    """Return a BiLSTM with random weights, drawn from torch's generator, and the head that HEADS names.

    `architecture.dropout` is that of embeddings, of states between layers and of the ReLUs. `settings` are further keys
    of the configuration, such as `id2label`.
    """
    config = BilstmConfig(
        vocab_size=vocabulary_size,
        pad_token_id=pad_token_id,
        num_hidden_layers=architecture.layers,
        hidden_size=architecture.hidden_size,
        intermediate_size=architecture.intermediate_size,
        dropout=architecture.dropout,
        **settings,
    )
    return HEADS[head](config)
