"""The contrastive loss against a value worked out by hand, a plain cross-entropy and the masked LM beside it."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline.architectures import ARCHITECTURES
from pipeline.architectures.pooling import pooled
from pipeline.objectives import OBJECTIVES
from pipeline.objectives.contrastive import Contrastive, contrastive_loss
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.masking import Masking
from pipeline.params import ArchitectureParams, ContrastiveParams

SHAPE = ArchitectureParams(
    family="bert", layers=2, hidden_size=16, attention_heads=2, intermediate_size=32, max_length=16, dropout=0.1
)
MASKING = Masking(4, 0.3, np.arange(100) < 5)
LENGTHS = (9, 4, 7)


def objective(masked_lm: float = 0.0, pooling: Any = "mean") -> Contrastive:
    settings = ContrastiveParams(temperature=0.05, pooling=pooling, masked_lm=masked_lm)
    return Contrastive(settings, 0, MASKING if masked_lm else None)


def sentences(texts: int) -> np.ndarray:
    """Return three rows of `texts` texts, ids (3, texts, 12): [CLS] 2, [SEP] 3, padding 0."""
    ids = np.zeros((len(LENGTHS), texts, 12), dtype=np.uint16)
    chance = np.random.default_rng(0)
    for row, length in enumerate(LENGTHS):
        for text in range(texts):
            ids[row, text, : length - text] = [2, *chance.integers(5, 100, length - text - 2), 3]
    return ids


def model(family: str = "bert") -> Any:
    torch.manual_seed(1)
    return ARCHITECTURES[family]().build(SHAPE, head="contrastive", vocabulary_size=100, pad_token_id=0)


def test_the_loss_by_hand() -> None:
    first, second = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [3.0, 3.0]])
    # cosines: 1 and √½ with the first, 0 and √½ with the second
    root, temperature = math.sqrt(0.5), 0.5
    expected = [
        -math.log(math.exp(1 / temperature) / (math.exp(1 / temperature) + math.exp(root / temperature))),
        -math.log(math.exp(root / temperature) / (math.exp(0) + math.exp(root / temperature))),
    ]
    assert contrastive_loss(first, second, temperature).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pairs_lose_a_plain_cross_entropy_over_their_cosines(family: str, pooling: str) -> None:
    rows, encoder = sentences(2), model(family).eval()
    made, loss = objective(pooling=pooling), 0.0
    vectors = [
        [
            encoder.base_model(torch.from_numpy(text[text > 0].astype(np.int64))[None]).last_hidden_state[0]
            for text in row
        ]
        for row in rows
    ]
    firsts, seconds = (
        [state[0] if pooling == "cls" else state.mean(0) for state in side] for side in zip(*vectors, strict=True)
    )
    for row, first in enumerate(firsts):
        scores = torch.stack([F.cosine_similarity(first, second, dim=0) / 0.05 for second in seconds])
        loss = loss + F.cross_entropy(scores[None], torch.tensor([row]))
    output = made.loss(encoder)(**made.collate(list(made.rows(rows)), np.random.default_rng(0)))
    torch.testing.assert_close(output["loss"], loss, rtol=1e-5, atol=1e-5)
    assert output["count"] == 3


def test_single_sentences_are_read_twice_with_different_dropout() -> None:
    made, encoder = objective(), model().train()
    batch = made.collate(list(made.rows(sentences(1))), np.random.default_rng(0))
    assert batch["input_ids"].shape == (6, 9) and batch["attention_mask"].sum(1).tolist() == [*LENGTHS, *LENGTHS]
    assert torch.equal(batch["input_ids"][:3], batch["input_ids"][3:])
    states = encoder.base_model(**batch).last_hidden_state
    first, second = pooled(states, batch["attention_mask"], "mean").chunk(2)
    assert (F.cosine_similarity(first, second) < 0.9999).all()
    same = encoder.eval().base_model(**batch).last_hidden_state
    torch.testing.assert_close(same[:3], same[3:])


def test_masked_lm_beside_it_is_that_of_masked_lm_alone() -> None:
    rows, encoder = sentences(1), model().eval()
    alone, both = objective(), objective(masked_lm=0.5)
    without = alone.loss(encoder)(**alone.collate(list(rows), np.random.default_rng(2)))
    batch = both.collate(list(rows), np.random.default_rng(2))
    found = both.loss(encoder)(**batch)
    masked, length = batch["input_ids"][6:], batch["input_ids"].shape[1]
    logits = encoder(input_ids=masked, attention_mask=batch["attention_mask"][6:]).logits.flatten(0, 1)
    words = F.cross_entropy(logits[batch["positions"] - 6 * length], batch["labels"])
    torch.testing.assert_close(found["loss"], without["loss"] + 0.5 * 3 * words, rtol=1e-5, atol=1e-5)
    # the same tokens are hidden as masked LM itself hides
    lone = MaskedLM(MASKING).collate(list(rows[:, 0, :9]), np.random.default_rng(2))
    assert torch.equal(lone["input_ids"], masked) and torch.equal(lone["labels"], batch["labels"])


def test_a_few_steps_tell_sentences_apart() -> None:
    made, encoder = OBJECTIVES["contrastive"]()(objective().settings, 0, None), model().train()
    module = made.loss(encoder)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-3)
    batch = made.collate(list(made.rows(sentences(2))), np.random.default_rng(0))
    losses = []
    for _ in range(30):
        output = module(**batch)
        optimizer.zero_grad()
        (output["loss"] / output["count"]).backward()
        optimizer.step()
        losses.append(float(output["loss"].detach()))
    assert losses[-1] < 0.5 * losses[0]
