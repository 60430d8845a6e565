"""RoBERTa as transformers implements it, of any size. Source: Liu et al. 2019, "RoBERTa", sections 3 and 4.

A BERT without token types, pooler and next-sentence prediction, over byte-level BPE. Its positions start behind the
padding token's id, as fairseq numbers them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import (
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
)

from pipeline.architectures.attention import attention_implementation
from pipeline.architectures.bert import ALWAYS
from pipeline.architectures.loading import load_weights
from pipeline.architectures.sentence_similarity import RobertaForSentenceSimilarity

if TYPE_CHECKING:
    from pipeline.params import ArchitectureParams

HEADS: dict[str, type[PreTrainedModel]] = {
    "masked_lm": RobertaForMaskedLM,
    "contrastive": RobertaForMaskedLM,  # as BERT's
    "text_classification": RobertaForSequenceClassification,
    "multi_label_classification": RobertaForSequenceClassification,
    "token_classification": RobertaForTokenClassification,
    "question_answering": RobertaForQuestionAnswering,
    "sentence_similarity": RobertaForSentenceSimilarity,
}


def dropout_settings(dropout: float) -> dict[str, Any]:
    """Return the keys of RobertaConfig that give hidden states, embeddings and head this dropout, attention none."""
    return {"hidden_dropout_prob": dropout, "classifier_dropout": dropout, **ALWAYS}


def build(
    architecture: "ArchitectureParams", *, head: str, vocabulary_size: int, pad_token_id: int, **settings: Any
) -> PreTrainedModel:
    """Return a RoBERTa with random weights, drawn from torch's generator, and the head that HEADS names.

    `architecture.dropout` is that of hidden states and embeddings; attention maps have none. `settings` are further
    keys of transformers' RobertaConfig, such as `id2label`.
    """
    assert architecture.attention_heads is not None  # pipeline.params refuses null for this family
    # those that transformers would put there are of another vocabulary
    unnamed: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}
    config = RobertaConfig(
        vocab_size=vocabulary_size,
        pad_token_id=pad_token_id,
        num_hidden_layers=architecture.layers,
        hidden_size=architecture.hidden_size,
        num_attention_heads=architecture.attention_heads,
        intermediate_size=architecture.intermediate_size,
        max_position_embeddings=architecture.max_length + pad_token_id + 1,
        type_vocab_size=1,
        layer_norm_eps=1e-5,  # as in the published weights, not transformers' default
        hidden_dropout_prob=architecture.dropout,
        **ALWAYS,
        **(unnamed | settings),
    )
    config._attn_implementation = attention_implementation()
    return HEADS[head](config)


def load(folder: Path, *, head: str) -> PreTrainedModel:
    """Return the RoBERTa in `folder` with the pretraining head that HEADS names, a new one where the folder has none.

    A pooler, which no head of RoBERTa reads, is left behind.
    Raises InputError where the folder holds no RoBERTa or not all of its encoder.
    """
    model: PreTrainedModel = load_weights(HEADS[head], folder, **ALWAYS)[0]
    return model
