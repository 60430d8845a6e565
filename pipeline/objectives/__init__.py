"""Pretraining objectives by the name that params.yaml gives them; the chosen one is imported when it is called for.

`OBJECTIVES["masked_lm"]()` is a class whose `from_params(pretrain, vocabulary)` makes the objective: `rows(**arrays)`
are the sequences of a tokenized corpus (the files that `arrays` names), `collate(rows, generator)` makes a batch of
them, and `loss(model)` is the module around the model whose forward takes that batch.
"""

from collections.abc import Callable
from typing import Any


def _masked_lm() -> type:
    from pipeline.objectives.masked_lm import MaskedLM

    return MaskedLM


def _masked_lm_next_sentence() -> type:
    from pipeline.objectives.masked_lm_next_sentence import MaskedLMNextSentence

    return MaskedLMNextSentence


def _causal_lm() -> type:
    from pipeline.objectives.causal_lm import CausalLM

    return CausalLM


def _contrastive() -> type:
    from pipeline.objectives.contrastive import Contrastive

    return Contrastive


def _text_infilling() -> type:
    from pipeline.objectives.text_infilling import TextInfilling

    return TextInfilling


def _span_corruption() -> type:
    from pipeline.objectives.span_corruption import SpanCorruption

    return SpanCorruption


OBJECTIVES: dict[str, Callable[[], Any]] = {
    "masked_lm": _masked_lm,
    "masked_lm_next_sentence": _masked_lm_next_sentence,
    "causal_lm": _causal_lm,
    "contrastive": _contrastive,
    "text_infilling": _text_infilling,
    "span_corruption": _span_corruption,
}
