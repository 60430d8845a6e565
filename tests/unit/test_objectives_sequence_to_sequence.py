"""What an encoder-decoder learns: transformers' own loss of three families, and what is taken out of texts."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.func import functional_call
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from pipeline.architectures import encoder_decoder
from pipeline.objectives import OBJECTIVES
from pipeline.objectives.sequence_to_sequence import NO_TOKEN, SequenceToSequenceLoss, collate_sequences
from pipeline.objectives.span_corruption import SpanCorruption, corrupted
from pipeline.objectives.text_infilling import TextInfilling, infilled
from pipeline.objectives.vocabulary import Vocabulary
from pipeline.params import ArchitectureParams

PAD, CLS, SEP, MASK, SIZE = 0, 2, 3, 4, 200
SHAPE = ArchitectureParams(
    family="encoder_decoder", layers=2, decoder_layers=1, hidden_size=16, attention_heads=2, intermediate_size=32,
    max_length=64, dropout=0.0,
)  # fmt: skip
SOURCES = [np.array([2, 7, 8, 9, 3], np.uint16), np.array([2, 10, 3], np.uint16)]
TARGETS = [np.array([11, 3], np.uint16), np.array([12, 13, 14, 3], np.uint16)]


def marian() -> PreTrainedModel:
    return encoder_decoder.build(SHAPE, head="text_infilling", vocabulary_size=SIZE, pad_token_id=PAD, eos_token_id=SEP)


def bart() -> PreTrainedModel:
    sizes: dict[str, Any] = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in
             {"layers": 1, "attention_heads": 2, "ffn_dim": 32}.items()}  # fmt: skip
    return BartForConditionalGeneration(
        BartConfig(vocab_size=SIZE, d_model=16, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, **sizes)
    )


def t5() -> PreTrainedModel:
    model = T5ForConditionalGeneration(
        T5Config(vocab_size=SIZE, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    )
    model.config.decoder_start_token_id = 0
    return model


def test_a_batch_is_padded_and_nothing_is_to_be_predicted_behind_the_end() -> None:
    batch = collate_sequences(SOURCES, TARGETS, PAD)
    assert batch["input_ids"].tolist() == [[2, 7, 8, 9, 3], [2, 10, 3, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[11, 3, NO_TOKEN, NO_TOKEN], [12, 13, 14, 3]]


@pytest.mark.parametrize("build", [marian, bart, t5], ids=["marian", "bart", "t5"])
def test_the_loss_is_that_of_transformers(build: object) -> None:
    torch.manual_seed(1)
    model = build().eval()  # type: ignore[operator]
    for parameter in model.parameters():  # as drawn they are so small that a wrong mask would hardly show
        torch.nn.init.normal_(parameter, std=0.2)
    batch = collate_sequences(SOURCES, TARGETS, model.config.pad_token_id)
    with torch.no_grad():
        found, expected = SequenceToSequenceLoss(model)(**batch), model(**batch).loss
    assert int(found["count"]) == 6
    torch.testing.assert_close(found["loss"] / found["count"], expected, rtol=1e-5, atol=1e-5)


def test_padding_changes_no_loss_and_smoothing_is_for_training() -> None:
    torch.manual_seed(1)
    model = marian().eval()
    loss = SequenceToSequenceLoss(model, label_smoothing=0.1).eval()
    with torch.no_grad():
        together = loss(**collate_sequences(SOURCES, TARGETS, PAD))["loss"]
        apart = [loss(**collate_sequences([s], [t], PAD))["loss"] for s, t in zip(SOURCES, TARGETS, strict=True)]
        plain = SequenceToSequenceLoss(model)(**collate_sequences(SOURCES, TARGETS, PAD))["loss"]
        smoothed = loss.train()(**collate_sequences(SOURCES, TARGETS, PAD))["loss"]
    torch.testing.assert_close(together, apart[0] + apart[1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(together, plain)
    assert smoothed != plain


def loss_of_wide_weights(smoothing: float) -> SequenceToSequenceLoss:
    """Return a loss in training, of a Marian without dropout in float64 whose weights all matter."""
    torch.manual_seed(1)
    model: Any = marian().double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return SequenceToSequenceLoss(model, smoothing).train()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_batch_equals_many_small_ones_in_gradient(smoothing: float) -> None:
    loss = loss_of_wide_weights(smoothing)
    sources, targets = [*SOURCES, np.array([2, 15, 16, 17, 18, 3])], [*TARGETS, np.array([3])]

    def gradients(rows: slice) -> list[torch.Tensor]:
        loss.zero_grad()
        loss(**collate_sequences(sources[rows], targets[rows], PAD))["loss"].backward()
        return [weight.grad.clone() for weight in loss.parameters() if weight.grad is not None]

    parts = zip(*(gradients(rows) for rows in (slice(0, 1), slice(1, 2), slice(2, 3))), strict=True)
    halves = zip(*(gradients(rows) for rows in (slice(0, 2), slice(2, 3))), strict=True)
    for whole, of_rows, of_halves in zip(gradients(slice(0, 3)), parts, halves, strict=True):
        torch.testing.assert_close(sum(of_rows), whole, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(sum(of_halves), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    "weight",
    [
        "encoder.layers.1.final_layer_norm.weight",
        "encoder.layers.0.self_attn.v_proj.bias",
        "decoder.layers.0.encoder_attn.v_proj.bias",
        "decoder.layers.0.final_layer_norm.weight",
    ],
)
def test_the_gradient_is_that_of_finite_differences(weight: str, smoothing: float) -> None:
    loss, name = loss_of_wide_weights(smoothing), f"model.model.{weight}"
    batch, values = collate_sequences(SOURCES, TARGETS, PAD), loss.get_parameter(name)

    def summed(values: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = functional_call(loss, {name: values}, kwargs=batch)["loss"]
        return found.double()

    # the cross-entropy is one of float32 scores: a smaller step would drown in their rounding
    assert torch.autograd.gradcheck(summed, values, eps=1e-2, atol=1e-3, rtol=1e-2)
    (gradient,) = torch.autograd.grad(summed(values), values)
    assert gradient.abs().max() > 0.02


def vocabulary() -> Vocabulary:
    ids = {"pad_token_id": PAD, "cls_token_id": CLS, "sep_token_id": SEP, "mask_token_id": MASK, "unk_token_id": 1}
    return Vocabulary(None, SIZE, ids)  # type: ignore[arg-type]


def rows(count: int = 40, length: int = 34) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    inner = generator.integers(5, 100, size=(count, length - 2))
    return list(np.pad(inner, ((0, 0), (1, 1)), constant_values=((0, 0), (CLS, SEP))).astype(np.uint16))


def test_infilled_texts_have_a_mask_for_each_span_and_the_rest_in_its_order() -> None:
    generator, masks, lengths = np.random.default_rng(1), 0, []
    for row in rows():
        found = infilled(row, 0.3, MASK, generator)
        kept = [token for token in found.tolist() if token != MASK]
        assert found[0] == CLS and found[-1] == SEP
        assert len(row) - len(kept) == round(0.3 * 32)  # ten of 32 tokens are gone
        remaining = iter(row.tolist())
        assert all(token in remaining for token in kept)  # a subsequence
        masks += int((found == MASK).sum())
        lengths.append(len(found))
    assert 40 * 10 / 3 * 0.9 < masks < 40 * 10 / 3 * 1.6  # of Poisson(3), and the last span of a row is cut
    assert len(set(lengths)) > 1


def test_infilling_writes_the_whole_text_behind_its_first_token() -> None:
    batch = TextInfilling(0.3, vocabulary()).collate(rows(3), np.random.default_rng(2))
    assert [labels.tolist() for labels in batch["labels"]] == [row[1:].tolist() for row in rows(3)]


def test_what_is_written_fits_into_what_is_read() -> None:
    """T5, figure 2: with each sentinel replaced by its span, the text is whole again."""
    generator = np.random.default_rng(1)
    for row in rows():
        read, written = corrupted(row, 0.15, SIZE - 1, SEP, generator)
        assert written[-1] == SEP
        spans: dict[int, list[int]] = {}
        for token in written[:-1].tolist():
            if token >= 100:
                spans[token] = []
            else:
                spans[max(spans, key=lambda sentinel: -sentinel)].append(token)
        assert list(spans) == [SIZE - 1 - number for number in range(len(spans))]
        assert len(spans) == round(5 / 3)  # 15 % of 32 tokens in spans of three
        assert sum(map(len, spans.values())) == 5 and all(spans.values())
        whole = [token for place in read.tolist() for token in spans.get(place, [place])]
        assert whole == row.tolist()


def test_spans_may_stand_at_the_end_but_never_side_by_side() -> None:
    generator = np.random.default_rng(3)
    found = [corrupted(row, 0.5, SIZE - 1, SEP, generator)[0] for row in rows()]
    assert all(not ((row[1:] >= 100) & (row[:-1] >= 100)).any() for row in found)
    assert any(row[-2] >= 100 for row in found)


@pytest.mark.parametrize("name", ["text_infilling", "span_corruption"])
def test_the_same_generator_draws_the_same_and_the_loss_falls(name: str) -> None:
    objective = OBJECTIVES[name]()(0.3, vocabulary())
    assert isinstance(objective, TextInfilling | SpanCorruption)
    first, second = (objective.collate(rows(8), np.random.default_rng(5)) for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    torch.manual_seed(0)
    loss = objective.loss(marian())
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-2)
    found = []
    for _ in range(30):
        output = loss(**first)
        mean = output["loss"] / output["count"]
        mean.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(mean.item())
    assert found[-1] < 0.8 * found[0]
