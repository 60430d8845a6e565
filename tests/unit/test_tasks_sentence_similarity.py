"""Cosines of texts that are encoded apart, their loss and their score."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from tokenizers import Tokenizer
from transformers import AutoModel

from pipeline.architectures import ARCHITECTURES
from pipeline.files import InputError
from pipeline.params import ArchitectureParams
from pipeline.tasks.labelling_loss import Distributions
from pipeline.tasks.sentence_similarity import SentenceSimilarity
from pipeline.tokenization.encoding import encode_apart
from pipeline.tokenization.folder import load_tokenizer
from pipeline.tokenization.ragged import UNLABELLED, TokenRows
from pipeline.training.prediction import predict_logits
from tests.tiny_students import MAX_LENGTH, PIECES, save_span_student

SHAPE = ArchitectureParams(
    family="bert", layers=2, hidden_size=16, attention_heads=2, intermediate_size=32, max_length=16, dropout=0.0
)
TASK = SentenceSimilarity([])
TEXTS, PAIRS = (
    ["play it", "madonna in new york", "paris"],
    ["it", "play madonna", "in paris in paris in paris in paris in"],
)
SCORES = np.array([0.25, 1.0, UNLABELLED], dtype=np.float32)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    save_span_student(tmp_path)
    return load_tokenizer(tmp_path)[0]


def model(family: str) -> Any:
    torch.manual_seed(1)
    settings = {"vocabulary_size": len(PIECES), "pad_token_id": 0, "num_labels": 1, "initializer_range": 0.5}
    return ARCHITECTURES[family]().build(SHAPE, head="sentence_similarity", **settings).eval()


def test_rows_hold_both_texts_each_framed_and_cut_by_itself(tokenizer: Tokenizer) -> None:
    rows = encode_apart(tokenizer, TEXTS, SCORES, MAX_LENGTH, PAIRS)
    alone = [tokenizer.encode(text).ids for pair in zip(TEXTS, PAIRS, strict=True) for text in pair]
    assert [row.tolist() for row in rows.apart()] == [
        ids[: MAX_LENGTH - 1] + [ids[-1]] * (len(ids) >= MAX_LENGTH) for ids in alone
    ]
    assert rows.seconds.tolist() == [len(ids) for ids in alone[::2]] and rows.labels.tolist() == SCORES.tolist()
    assert rows[0].tolist() == alone[0] + alone[1]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_logits_are_cosines_of_texts_that_do_not_see_each_other(
    family: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    rows, own = encode_apart(tokenizer, TEXTS, SCORES, MAX_LENGTH, PAIRS), model(family)
    own.save_pretrained(tmp_path / "model")
    plain, report = AutoModel.from_pretrained(tmp_path / "model", add_pooling_layer=False, output_loading_info=True)
    assert not (report["missing_keys"] or report["unexpected_keys"])
    with torch.inference_mode():
        vectors = [plain(torch.tensor([row.tolist()])).last_hidden_state[0].mean(dim=0) for row in rows.apart()]
    expected = [F.cosine_similarity(*vectors[place : place + 2], dim=0) for place in (0, 2, 4)]
    for loaded in (own, TASK.load(tmp_path / "model")):
        found = predict_logits(loaded, rows, batch_size=2, pad_token_id=0, dtype=torch.float32)
        np.testing.assert_allclose(found[:, 0], expected, atol=1e-5)


def test_the_loss_is_the_squared_difference_of_labelled_rows(tokenizer: Tokenizer) -> None:
    cosines, scores = torch.tensor([[0.5], [0.9], [0.3]]), torch.tensor(SCORES)
    assert TASK.label_loss(Distributions(cosines, scores, torch.arange(3))).tolist() == pytest.approx(
        [0.0625, 0.01, 0.0]
    )
    rows, own = encode_apart(tokenizer, TEXTS[:2], SCORES[:2], MAX_LENGTH, PAIRS[:2]), model("bert")
    found = TASK.loss(own)(**TASK.collate([*TASK.rows(rows)], 0))
    logits = predict_logits(own, rows, batch_size=2, pad_token_id=0, dtype=torch.float32)
    expected = F.mse_loss(torch.from_numpy(logits[:, 0]), scores[:2], reduction="sum")
    torch.testing.assert_close(found["loss"], expected, rtol=1e-5, atol=1e-6)
    assert found["count"] == 2


def test_the_gradient_of_labels_is_that_of_finite_differences_and_of_unlabelled_rows_zero() -> None:
    scores = torch.tensor(SCORES)
    cosines = torch.tensor([[0.5], [0.9], [0.3]], dtype=torch.float64, requires_grad=True)

    def losses(cosines: torch.Tensor) -> torch.Tensor:
        return TASK.label_loss(Distributions(cosines, scores, torch.arange(3)))

    # losses compute in float32: of a square a central difference is exact whatever the step
    assert torch.autograd.gradcheck(losses, cosines, eps=1e-2, atol=1e-4, rtol=1e-4)
    (gradient,) = torch.autograd.grad(losses(cosines).sum(), cosines)
    assert gradient[:, 0].tolist() == pytest.approx([0.5, -0.2, 0.0])  # twice the difference


def test_score_is_scipys_spearman() -> None:
    chance = np.random.default_rng(0)
    scores = (chance.integers(0, 6, 200) / 5).astype(np.float32)
    cosines = (scores + chance.normal(0, 0.4, 200)).round(1).astype(np.float32)
    rows = TokenRows.from_rows([[2, 3]] * 200, np.zeros(200), np.dtype(np.uint16))
    rows = TokenRows.one_label_each(rows.ids, rows.offsets, scores)
    found = TASK.score(cosines[:, None], rows)
    assert found["spearman"] == pytest.approx(spearmanr(cosines, scores)[0], abs=1e-9)
    assert found["loss"] == pytest.approx(np.mean((cosines - scores) ** 2), abs=1e-6)
    assert TASK.score(np.ones((200, 1), np.float32), rows)["spearman"] == 0.0


def test_a_language_model_becomes_a_teacher_and_half_of_one_does_not(tmp_path: Path) -> None:
    settings: Any = {"vocabulary_size": len(PIECES), "pad_token_id": 0}
    encoder = ARCHITECTURES["bert"]().build(SHAPE, head="contrastive", **settings)
    encoder.save_pretrained(tmp_path)
    teacher = TASK.from_pretrained(tmp_path, dropout=0.2, seed=1)
    assert torch.equal(teacher.get_input_embeddings().weight, encoder.get_input_embeddings().weight)
    assert teacher.config.hidden_dropout_prob == 0.2
    weights = {name: value for name, value in encoder.state_dict().items() if "layer.1" not in name}
    encoder.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(InputError, match=r"no weights for encoder\.layer\.1"):
        TASK.from_pretrained(tmp_path, dropout=0.2, seed=1)
