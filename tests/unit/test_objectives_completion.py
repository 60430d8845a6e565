"""A decoder that writes one text for another: transformers' own loss, padding, prompts."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from pipeline.architectures import ARCHITECTURES
from pipeline.objectives.completion import CompletionLoss
from pipeline.objectives.sequence_to_sequence import collate_sequences
from pipeline.params import ArchitectureParams, GenerationParams
from pipeline.tasks.generation import generate
from pipeline.tasks.summarization import Summarization
from pipeline.tokenization.ragged import UNLABELLED, TokenRows
from pipeline.training.prediction import prompts, writes

PAD, END = 0, 3
SHAPE: dict[str, Any] = {"layers": 2, "hidden_size": 16, "attention_heads": 2, "intermediate_size": 32}
PROMPTS = [np.array([2, 7, 8, 9, 3], np.uint16), np.array([2, 10, 3], np.uint16)]
COMPLETIONS = [np.array([11, 3], np.uint16), np.array([12, 13, 14, 3], np.uint16)]
FAMILIES = ["gpt", "llama"]


def model(family: str) -> PreTrainedModel:
    torch.manual_seed(1)
    shape = ArchitectureParams(family=family, max_length=24, dropout=0.0, **SHAPE)  # type: ignore[arg-type]
    generation = GenerationParams(max_tokens=6, beams=2, length_penalty=1.0, temperature=0.0, top_p=1.0)
    task = Summarization(generation)
    built = ARCHITECTURES[family]().build(
        shape, head=task.head, vocabulary_size=40, pad_token_id=PAD, eos_token_id=END, **task.names
    )
    for parameter in built.parameters():  # as drawn they are so small that a wrong mask would hardly show
        torch.nn.init.normal_(parameter, std=0.3)
    described: PreTrainedModel = task.described(built.eval())
    return described


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_transformers_own_with_the_prompt_left_out(family: str) -> None:
    decoder, expected = model(family), torch.zeros(())
    with torch.no_grad():
        for prompt, completion in zip(PROMPTS, COMPLETIONS, strict=True):
            ids = torch.from_numpy(np.concatenate([prompt, completion]).astype(np.int64))[None]
            labels = ids.clone()
            labels[:, : len(prompt)] = -100
            expected = expected + decoder(input_ids=ids, labels=labels).loss * len(completion)
        found = CompletionLoss(decoder)(**collate_sequences(PROMPTS, COMPLETIONS, PAD))
    assert int(found["count"]) == 6
    torch.testing.assert_close(found["loss"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_is_not_seen_and_has_no_gradient(family: str) -> None:
    decoder = model(family)
    loss = CompletionLoss(decoder)
    batch = collate_sequences(PROMPTS, COMPLETIONS, PAD)
    loss(**batch)["loss"].backward()
    words: Any = decoder.get_input_embeddings().weight
    plain = words.grad.clone()
    words.grad = None
    wider = batch | {
        name: torch.nn.functional.pad(batch[name], (0, 5), value=value)
        for name, value in (("input_ids", 39), ("attention_mask", 0), ("labels", -100))
    }
    loss(**wider)["loss"].backward()
    torch.testing.assert_close(words.grad, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_written_for_alike_alone_and_beside_longer_ones(family: str) -> None:
    decoder = model(family)
    assert writes(decoder)
    rows = TokenRows.from_rows([row.tolist() for row in PROMPTS], [UNLABELLED] * 2, np.uint16)
    batch = prompts(decoder, rows, [0, 1])
    assert batch["input_ids"].tolist() == [[2, 7, 8, 9, 3], [0, 0, 2, 10, 3]]
    assert batch["attention_mask"].tolist() == [[1] * 5, [0, 0, 1, 1, 1]]
    together, apart = (generate(decoder, rows, batch_size=size, dtype=torch.float32) for size in (2, 1))
    for first, second in zip(together, apart, strict=True):
        assert first.tolist() == second.tolist() and 0 < len(first) <= 6
