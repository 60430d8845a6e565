"""Logits in the order of the rows, whatever the batch size."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.params import ArchitectureParams
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.prediction import predict_logits


@dataclass
class Rows:
    ids: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.ids[row]

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(row) for row in self.ids])

    @property
    def targets(self) -> np.ndarray:
        return np.arange(len(self.ids) + 1)

    @property
    def positions(self) -> np.ndarray:
        return np.zeros(len(self.ids), dtype=np.int64)

    labels = positions
    seconds = lengths


def test_logits_are_those_of_single_rows_in_their_order() -> None:
    from pipeline.architectures import bert

    torch.manual_seed(0)
    shape = ArchitectureParams(
        family="bert", layers=1, hidden_size=8, attention_heads=2, intermediate_size=16, max_length=16, dropout=0.5
    )
    model = bert.build(shape, head="text_classification", vocabulary_size=30, pad_token_id=0, num_labels=3)
    model.train()
    generator = np.random.default_rng(0)
    rows = Rows([generator.integers(1, 30, size=size).astype(np.uint16) for size in (7, 2, 9, 4, 4)])
    logits = predict_logits(model, rows, batch_size=2, pad_token_id=0, dtype=torch.float32)
    assert model.training
    assert logits.dtype == np.float32
    model.eval()
    with torch.inference_mode():
        alone = [model(input_ids=torch.from_numpy(row.astype(np.int64))[None]).logits[0].numpy() for row in rows.ids]
    np.testing.assert_allclose(logits, alone, atol=1e-6)


class OfTokens(torch.nn.Module):
    """Says of each token its id and its place."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids, attention_mask):
        places = torch.arange(input_ids.shape[1]).expand_as(input_ids)
        return SimpleNamespace(logits=torch.stack([input_ids, places], dim=-1).float())


def test_a_row_may_be_asked_about_any_number_of_its_tokens() -> None:
    ids, offsets = np.array([5, 6, 7, 8, 9, 4, 3], dtype=np.uint16), np.array([0, 4, 5, 7])
    targets, positions = np.array([0, 2, 2, 3]), np.array([1, 3, 1])
    rows = TokenRows(ids, offsets, np.full(3, -1), targets, positions, np.diff(offsets), np.arange(3))
    found = predict_logits(OfTokens(), rows, batch_size=2, pad_token_id=0, dtype=torch.float32)
    assert found.tolist() == [[6.0, 1.0], [8.0, 3.0], [3.0, 1.0]]


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        predict_logits(torch.nn.Linear(1, 1), Rows([]), batch_size=2, pad_token_id=0, dtype=torch.float32)
