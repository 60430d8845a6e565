"""GPT-2 as transformers implements it, of any size: a decoder whose word embeddings are its output layer as well.

Sources: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", section 3, for the decoder
and for classification at the end of a row; Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
section 2.3, for LayerNorm before each block.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedModel

from pipeline.architectures.attention import attention_implementation
from pipeline.architectures.loading import load_weights

if TYPE_CHECKING:
    from pipeline.params import ArchitectureParams

HEADS: dict[str, type[PreTrainedModel]] = {
    **dict.fromkeys(("causal_lm", "text_generation", "translation", "summarization"), GPT2LMHeadModel),
    "text_classification": GPT2ForSequenceClassification,  # reads the last token that is no padding
    "multi_label_classification": GPT2ForSequenceClassification,
}
ALWAYS: dict[str, Any] = {"attn_pdrop": 0.0}  # as BERT's


def dropout_settings(dropout: float) -> dict[str, Any]:
    """Return the keys of GPT2Config that give hidden states and embeddings this dropout, attention maps none."""
    return {"resid_pdrop": dropout, "embd_pdrop": dropout, **ALWAYS}


def build(
    architecture: "ArchitectureParams", *, head: str, vocabulary_size: int, pad_token_id: int, **settings: Any
) -> PreTrainedModel:
    """Return a GPT-2 with random weights, drawn from torch's generator, and the head that HEADS names.

    `architecture.dropout` is that of hidden states and embeddings; attention maps have none. `settings` are further
    keys of transformers' GPT2Config, such as `id2label`.
    """
    assert architecture.attention_heads is not None  # pipeline.params refuses null for this family
    # those that transformers would put there are of another vocabulary
    unnamed: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}
    config = GPT2Config(
        vocab_size=vocabulary_size,
        pad_token_id=pad_token_id,
        n_layer=architecture.layers,
        n_embd=architecture.hidden_size,
        n_head=architecture.attention_heads,
        n_inner=architecture.intermediate_size,
        n_positions=architecture.max_length,
        activation_function="gelu_pytorch_tanh",  # the function of gelu_new in one operation instead of eight
        **(unnamed | dropout_settings(architecture.dropout) | settings),
    )
    config._attn_implementation = attention_implementation()
    return HEADS[head](config)


def load(folder: Path, *, head: str, **settings: Any) -> PreTrainedModel:
    """Return the GPT-2 in `folder` with the pretraining head that HEADS names, tied to the word embeddings.

    `settings` replace keys of its configuration.
    Raises InputError where the folder holds no GPT-2 or not all of its decoder.
    """
    model: PreTrainedModel = load_weights(HEADS[head], folder, **(ALWAYS | settings))[0]
    return model
