"""What processes compute of their shares of a batch adds up to what one computes of the whole."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.architectures import ARCHITECTURES
from pipeline.objectives.causal_lm import CausalLM
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.masking import Masking
from pipeline.objectives.span_corruption import SpanCorruption
from pipeline.objectives.text_infilling import TextInfilling
from pipeline.objectives.vocabulary import Vocabulary
from pipeline.params import ArchitectureParams
from pipeline.training.batches import share

PAD, CLS, SEP, MASK, SIZE = 0, 2, 3, 4, 200
VOCABULARY = Vocabulary(
    Path(), SIZE, {"pad_token_id": PAD, "cls_token_id": CLS, "sep_token_id": SEP, "mask_token_id": MASK}
)
OBJECTIVES = {
    "masked_lm": ("bert", MaskedLM(Masking(MASK, 0.3, np.arange(SIZE) < 5))),
    "causal_lm": ("gpt", CausalLM(SEP, across_documents=False)),
    "text_infilling": ("encoder_decoder", TextInfilling(0.3, VOCABULARY)),
    "span_corruption": ("encoder_decoder", SpanCorruption(0.3, VOCABULARY)),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_and_counts_of_shares_add_up(name: str) -> None:
    family, objective = OBJECTIVES[name]
    shape = ArchitectureParams(
        family=family, layers=1, decoder_layers=1 if family == "encoder_decoder" else None, hidden_size=16,
        attention_heads=2, intermediate_size=32, max_length=32, dropout=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    build = ARCHITECTURES[family]().build
    module = objective.loss(build(shape, head=name, vocabulary_size=SIZE, pad_token_id=PAD, eos_token_id=SEP))
    rows = np.random.default_rng(1).integers(5, SIZE - 20, size=(7, 24)).astype(np.uint16)
    rows[:, 0], rows[:, -1], rows[3, 9] = CLS, SEP, SEP
    batch = objective.collate(list(rows), np.random.default_rng(2))

    whole = module(**batch)
    shares = [module(**own) for own, counts in (share(batch, rank, 3) for rank in range(3)) if counts]
    assert len(shares) == 3
    assert sum(output["count"] for output in shares) == whole["count"]
    torch.testing.assert_close(sum(output["loss"] for output in shares), whole["loss"], rtol=1e-5, atol=1e-5)
