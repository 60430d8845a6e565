"""The objectives' losses against those of transformers, on the same batch."""

import numpy as np
import pytest
import torch

from pipeline.architectures import ARCHITECTURES
from pipeline.objectives import OBJECTIVES
from pipeline.objectives.masking import Masking
from pipeline.params import ArchitectureParams

SHAPE = ArchitectureParams(
    family="bert", layers=2, hidden_size=16, attention_heads=2, intermediate_size=32, max_length=16, dropout=0.0
)
MASKING = Masking(4, 0.15, np.arange(100) < 5)
GENERATOR = np.random.default_rng(0)
IDS = GENERATOR.integers(0, 100, size=(8, 16)).astype(np.uint16)


def _model(head: str, family: str = "bert") -> torch.nn.Module:
    torch.manual_seed(1)
    return ARCHITECTURES[family]().build(SHAPE, head=head, vocabulary_size=100, pad_token_id=0)


def _dense_labels(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    labels = torch.full((IDS.size,), -100)
    labels[batch["positions"]] = batch["labels"]
    return labels.view(IDS.shape)


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_masked_lm_equals_transformers_own(family: str) -> None:
    objective, model = OBJECTIVES["masked_lm"]()(MASKING), _model("masked_lm", family)
    batch = objective.collate(list(objective.rows(IDS)), np.random.default_rng(2))
    output = objective.loss(model)(**batch)
    everything = torch.ones_like(batch["input_ids"])  # RoBERTa's own forward would warn of id 0, its padding
    expected = model(input_ids=batch["input_ids"], attention_mask=everything, labels=_dense_labels(batch)).loss
    torch.testing.assert_close(output["loss"] / output["count"], expected, rtol=1e-5, atol=1e-5)
    expected.backward()
    reference = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}  # type: ignore[union-attr]
    model.zero_grad()
    (output["loss"] / output["count"]).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, reference[name], rtol=1e-4, atol=1e-6)


def test_next_sentence_equals_bert_for_pre_training() -> None:
    objective, model = OBJECTIVES["masked_lm_next_sentence"]()(MASKING), _model("masked_lm_next_sentence")
    types, following = (np.arange(16) > 7).astype(np.uint8) + np.zeros((8, 1), np.uint8), np.arange(8) % 2
    rows = objective.rows(input_ids=IDS, token_type_ids=types, next_sentence_labels=following)
    batch = objective.collate([rows[i] for i in range(len(rows))], np.random.default_rng(2))
    output = objective.loss(model)(**batch)
    expected = model(
        input_ids=batch["input_ids"],
        token_type_ids=batch["token_type_ids"],
        labels=_dense_labels(batch),
        next_sentence_label=batch["next_sentence_labels"],
    ).loss
    torch.testing.assert_close(output["loss"] / output["count"], expected, rtol=1e-5, atol=1e-5)


def test_a_batch_without_a_chosen_token_costs_nothing() -> None:
    objective, model = OBJECTIVES["masked_lm"]()(MASKING), _model("masked_lm")
    output = objective.loss(model)(**objective.collate([np.zeros(16, np.uint16)], np.random.default_rng(0)))
    assert output["loss"].item() == output["count"].item() == 0
    output["loss"].backward()
