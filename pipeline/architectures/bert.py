"""BERT as transformers implements it, of any size. Source: Devlin et al. 2019, "BERT", section 3."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    PreTrainedModel,
)

from pipeline.architectures.attention import attention_implementation
from pipeline.architectures.loading import load_weights
from pipeline.architectures.sentence_similarity import BertForSentenceSimilarity

if TYPE_CHECKING:
    from pipeline.params import ArchitectureParams

HEADS: dict[str, type[PreTrainedModel]] = {
    "masked_lm": BertForMaskedLM,
    "masked_lm_next_sentence": BertForPreTraining,
    "contrastive": BertForMaskedLM,  # the head stays with the model, whether or not masked LM is learnt beside it
    "text_classification": BertForSequenceClassification,
    "multi_label_classification": BertForSequenceClassification,
    "token_classification": BertForTokenClassification,
    "question_answering": BertForQuestionAnswering,
    "sentence_similarity": BertForSentenceSimilarity,
}
# the maps are the largest tensors of a long row, and fused attention on a card has no dropout to give
ALWAYS: dict[str, Any] = {"attention_probs_dropout_prob": 0.0}


def dropout_settings(dropout: float) -> dict[str, Any]:
    """Return the keys of BertConfig that give hidden states, embeddings and head this dropout, attention maps none."""
    return {"hidden_dropout_prob": dropout, "classifier_dropout": dropout, **ALWAYS}


def build(
    architecture: "ArchitectureParams", *, head: str, vocabulary_size: int, pad_token_id: int, **settings: Any
) -> PreTrainedModel:
    """Return a BERT with random weights, drawn from torch's generator, and the head that HEADS names.

    `architecture.dropout` is that of hidden states and embeddings; attention maps have none. `settings` are further
    keys of transformers' BertConfig, such as `id2label`.
    """
    assert architecture.attention_heads is not None  # pipeline.params refuses null for this family
    config = BertConfig(
        vocab_size=vocabulary_size,
        pad_token_id=pad_token_id,
        num_hidden_layers=architecture.layers,
        hidden_size=architecture.hidden_size,
        num_attention_heads=architecture.attention_heads,
        intermediate_size=architecture.intermediate_size,
        max_position_embeddings=architecture.max_length,
        hidden_dropout_prob=architecture.dropout,
        **ALWAYS,
        **settings,
    )
    config._attn_implementation = attention_implementation()
    return HEADS[head](config)


def load(folder: Path, *, head: str) -> PreTrainedModel:
    """Return the BERT in `folder` with the pretraining head that HEADS names; what the folder lacks is drawn at random.

    An encoder without a masked-LM head gets a new one, its decoder tied to the word embeddings. A pooler that comes
    with the encoder stays in the model, though masked LM alone does not train it: fine-tuning starts from it.
    Raises InputError where the folder holds no BERT or not all of its encoder.
    """
    whole, pooler_missing = load_weights(BertForPreTraining, folder, **ALWAYS)
    if head == "masked_lm_next_sentence":
        return whole
    model = BertForMaskedLM(whole.config)
    model.bert, model.cls.predictions = whole.bert, whole.cls.predictions
    if pooler_missing:
        model.bert.pooler = None
    return model
