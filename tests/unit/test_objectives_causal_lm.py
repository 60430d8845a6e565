"""Causal LM over packed documents: transformers' own loss, and no document that sees another."""

import numpy as np
import pytest
import torch

from pipeline.architectures import ARCHITECTURES, gpt
from pipeline.objectives import OBJECTIVES
from pipeline.objectives.causal_lm import CausalLM
from pipeline.params import ArchitectureParams
from pipeline.tokenization.packing import pack_documents
from pipeline.tokenization.ragged import TokenRows

END = 3
SHAPE = ArchitectureParams(
    family="gpt", layers=2, hidden_size=16, attention_heads=2, intermediate_size=32, max_length=16, dropout=0.0
)
# two documents; one of a single token, one that is empty, one that goes on in the next row; none that ends
ROWS = np.array(
    [
        [7, 8, 9, END, 10, 11, 12, END],
        [13, END, END, 14, 15, 16, 17, 18],
        [19, END, 20, 21, 22, 23, 24, END],
        [25, 26, 27, 28, 29, 30, 31, 32],
    ],
    dtype=np.uint16,
)


def model(implementation: str = "eager", family: str = "gpt") -> gpt.PreTrainedModel:
    torch.manual_seed(1)
    built = ARCHITECTURES[family]().build(SHAPE, head="causal_lm", vocabulary_size=40, pad_token_id=0)
    built.set_attn_implementation(implementation)
    for parameter in built.parameters():  # as drawn they are so small that a wrong mask would hardly show
        torch.nn.init.normal_(parameter, std=0.3)
    return built.eval()


def batch(rows: np.ndarray, *, across_documents: bool = False) -> dict[str, torch.Tensor]:
    objective = CausalLM(END, across_documents=across_documents)
    return objective.collate(list(objective.rows(rows)), np.random.default_rng(0))


def total(of: gpt.PreTrainedModel, rows: np.ndarray) -> tuple[float, int]:
    output = CausalLM(END, across_documents=False).loss(of)(**batch(rows))
    return output["loss"].item(), output["count"].item()


def test_positions_restart_and_no_document_predicts_another() -> None:
    made = batch(ROWS)
    assert made["position_ids"].tolist() == [
        [0, 1, 2, 3, 0, 1, 2, 3],
        [0, 1, 0, 0, 1, 2, 3, 4],
        [0, 1, 0, 1, 2, 3, 4, 5],
        [0, 1, 2, 3, 4, 5, 6, 7],
    ]
    assert made["positions"].tolist() == [
        0, 1, 2, 4, 5, 6,
        8, 11, 12, 13, 14,
        16, 18, 19, 20, 21, 22,
        24, 25, 26, 27, 28, 29, 30,
    ]  # fmt: skip
    flat = torch.from_numpy(ROWS.astype(np.int64)).flatten()
    assert torch.equal(made["labels"], flat[made["positions"] + 1])
    assert torch.equal(made["input_ids"].flatten(), flat)
    assert {array.dtype for array in made.values()} == {torch.int64}


EVERY = pytest.mark.parametrize(
    ("family", "implementation"), [("gpt", "eager"), ("gpt", "sdpa"), ("llama", "eager"), ("llama", "sdpa")]
)


@EVERY
def test_across_documents_the_loss_and_its_gradients_are_transformers_own(family: str, implementation: str) -> None:
    gpt2, made = model(implementation, family), batch(ROWS, across_documents=True)
    output = CausalLM(END, across_documents=True).loss(gpt2)(**made)
    expected = gpt2(input_ids=made["input_ids"], labels=made["input_ids"]).loss
    assert output["count"].item() == ROWS.shape[0] * (ROWS.shape[1] - 1)
    torch.testing.assert_close(output["loss"] / output["count"], expected, rtol=1e-5, atol=1e-5)
    expected.backward()
    reference = {name: parameter.grad.clone() for name, parameter in gpt2.named_parameters()}
    gpt2.zero_grad()
    (output["loss"] / output["count"]).backward()
    for name, parameter in gpt2.named_parameters():
        torch.testing.assert_close(parameter.grad, reference[name], rtol=1e-4, atol=1e-6)


@EVERY
def test_a_packed_batch_is_its_documents_apart(family: str, implementation: str) -> None:
    gpt2 = model(implementation, family)
    loss, count = total(gpt2, ROWS)
    apart, predicted = 0.0, 0
    for row in ROWS.astype(np.int64):
        for piece in np.split(row, np.flatnonzero(row == END) + 1):
            if len(piece) > 1:  # transformers' own loss, which knows of no border
                ids = torch.from_numpy(piece)[None]
                apart += gpt2(input_ids=ids, labels=ids).loss.item() * (len(piece) - 1)
                predicted += len(piece) - 1
    assert count == predicted
    assert loss == pytest.approx(apart, rel=1e-5)


def test_what_stands_in_one_document_changes_no_loss_of_another() -> None:
    gpt2, changed = model(), ROWS[:1].copy()
    changed[0, 0] = 33
    second = np.array([[0, 0, 0, 0, *ROWS[0, 4:]]])
    made = {name: batch(rows) for name, rows in (("before", ROWS[:1]), ("after", changed), ("zeros", second))}
    states = {
        name: gpt2.transformer(
            input_ids=one["input_ids"], position_ids=made["before"]["position_ids"], use_cache=False
        ).last_hidden_state[0, 4:]
        for name, one in made.items()
    }
    torch.testing.assert_close(states["before"], states["after"])
    torch.testing.assert_close(states["before"], states["zeros"])


def test_what_packing_makes_is_what_the_objective_takes() -> None:
    documents = TokenRows.from_rows([[7, 8, 9], [10, 11, 12]], [-1, -1], np.dtype(np.uint16))
    packed = pack_documents(documents, 8, END)
    assert np.array_equal(packed, ROWS[:1])
    gpt2 = model()
    first, second = (total(gpt2, pack_documents(documents, 4, END)[i : i + 1]) for i in (0, 1))
    loss, count = total(gpt2, packed)
    assert count == first[1] + second[1] == 6
    assert loss == pytest.approx(first[0] + second[0], rel=1e-5)


def test_a_batch_of_ends_alone_costs_nothing() -> None:
    output = CausalLM(END, across_documents=False).loss(model())(**batch(np.full((2, 8), END, np.uint16)))
    assert output["loss"].item() == output["count"].item() == 0
    output["loss"].backward()


def test_the_name_of_params_is_this_objective() -> None:
    assert OBJECTIVES["causal_lm"]() is CausalLM
