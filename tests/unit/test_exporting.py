"""The exported student: its float32 graph says what PyTorch says, its 8-bit one nearly that, whatever stands beside."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    RobertaConfig,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
)

from pipeline.architectures.exported import GRAPH, ExportedModel, open_session
from pipeline.architectures.sentence_similarity import BertForSentenceSimilarity, RobertaForSentenceSimilarity
from pipeline.exporting.arithmetic import Int8, in_whole_numbers, scale_and_zero
from pipeline.exporting.export import export_model
from pipeline.exporting.graph import Graph
from pipeline.files import InputError, content_hash, write_json
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.prediction import predict_logits

SHAPE = {
    "vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32,
    "max_position_embeddings": 24, "pad_token_id": 1, "initializer_range": 0.4, "num_labels": 3,
}  # fmt: skip
TARGETS = (BertForTokenClassification, RobertaForTokenClassification, BertForQuestionAnswering)
KINDS: list[Any] = [
    (BertForSequenceClassification, False),
    (BertForSequenceClassification, True),
    (RobertaForSequenceClassification, True),
    (BertForTokenClassification, False),
    (RobertaForTokenClassification, False),
    (BertForQuestionAnswering, True),
    (RobertaForQuestionAnswering, True),
    (BertForSentenceSimilarity, True),
    (RobertaForSentenceSimilarity, True),
]


def save_model(folder: Path, kind: Any, seed: int = 1) -> None:
    torch.manual_seed(seed)
    settings: Any = RobertaConfig if kind.__name__.startswith("Roberta") else BertConfig
    shape = SHAPE | ({"num_labels": 2} if kind.__name__.endswith("Answering") else {})
    model = kind(settings(**shape))
    for name, weights in model.named_parameters():
        if "bias" in name or "LayerNorm" in name:  # zeros and ones would hide a wrong place
            torch.nn.init.normal_(weights, mean=0.0 if "bias" in name else 1.0, std=0.2)
    model.save_pretrained(folder)


def token_rows(count: int, *, pairs: bool, each: bool, longest: int = 20) -> TokenRows:
    """Rows of 3 to `longest` tokens; `each`: every token is a target, else the first one."""
    chance = np.random.default_rng(0)
    lengths = chance.integers(3, longest + 1, count)
    rows = [[0, *chance.integers(2, 50, length - 1).tolist()] for length in lengths]
    targets = lengths if each else np.ones(count, np.int64)
    return TokenRows(
        np.concatenate(rows).astype(np.uint16),
        np.concatenate([[0], lengths.cumsum()]),
        np.zeros(targets.sum(), np.int64),
        np.concatenate([[0], targets.cumsum()]),
        np.concatenate([np.arange(number) for number in targets]),
        lengths // 2 if pairs else lengths,
        np.arange(count),
    )


def rows_for(kind: Any, pairs: bool) -> TokenRows:
    # two texts that are read apart may have as many tokens each as the model has positions
    longest = 2 * 20 if kind.__name__.endswith("Similarity") else 20
    each = kind.__name__.endswith(("TokenClassification", "Answering"))
    return token_rows(40, pairs=pairs, each=each, longest=longest)


def said(model: Any, rows: TokenRows, batch_size: int = 8) -> np.ndarray:
    return predict_logits(model, rows, batch_size=batch_size, pad_token_id=1, dtype=torch.float32)


@pytest.mark.parametrize(("kind", "pairs"), KINDS, ids=lambda value: getattr(value, "__name__", value))
def test_a_graph_says_what_pytorch_says(kind: Any, pairs: bool, tmp_path: Path) -> None:
    save_model(tmp_path / "plain", kind)
    rows, plain = rows_for(kind, pairs), kind.from_pretrained(tmp_path / "plain")
    expected = said(plain, rows)
    assert np.ptp(expected, axis=0).min() > 0.1  # rows differ
    off = {}
    for format_ in ("float32", "int8"):
        export_model(tmp_path / "plain", tmp_path / format_, format_, rows, 40)  # type: ignore[arg-type]
        graph = ExportedModel(tmp_path / format_)
        off[format_] = np.abs(said(graph, rows) - expected)
    assert off["float32"].max() < 1e-4
    assert off["int8"].mean() < 0.03 * np.ptp(expected)
    # ranges are fixed beforehand, so neighbours and padding change nothing but the order of rounding
    assert np.abs(said(graph, rows, batch_size=1) - said(graph, rows, batch_size=40)).max() < 1e-5


def test_equal_models_give_equal_bytes_wherever_they_lie(tmp_path: Path) -> None:
    rows = token_rows(20, pairs=False, each=False)
    for name in ("first", "second"):
        save_model(tmp_path / name, BertForSequenceClassification)
        export_model(tmp_path / name, tmp_path / f"{name} graph", "int8", rows, 20)
    assert content_hash(tmp_path / "first graph") == content_hash(tmp_path / "second graph")
    assert str(tmp_path).encode() not in (tmp_path / "first graph" / GRAPH).read_bytes()


def test_whole_numbers_by_hand() -> None:
    values = np.array([[0.5, -1.0, 0.26], [0.0, 0.0, 0.0]], np.float32)
    rounded, steps = in_whole_numbers(values, 4)
    assert rounded.tolist() == [[2, -4, 1], [0, 0, 0]] and rounded.dtype == np.int8
    assert steps.tolist() == [[0.25], [1.0]]


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero"),
    [
        (-1.0, 4.1, 0.02, 50),
        (0.5, 2.55, 0.01, 0),  # 0 has to be among the numbers
        (-2.55, -1.0, 0.01, 255),
        (-1.0, 1.0, 0.00784, 128),  # three digits of 2 / 255
        (0.0, 0.0, 1.0, 0),
    ],
)
def test_scale_and_zero_by_hand(low: float, high: float, scale: float, zero: int) -> None:
    assert scale_and_zero(low, high) == (np.float32(scale), zero)


def test_the_largest_numbers_are_added_exactly() -> None:
    """Where pairs of products are added in 16 bits, weights of 127 would be cut off here."""
    graph, width = Graph(["states"]), 64
    weight = np.tile(np.array([63.0, -63.0], np.float32)[:, None], (1, width))
    floats = graph.add("Cast", "states", to=1)
    graph.add(
        "Identity", Int8({"layer": (0, 255)}).dense(graph, floats, "layer", weight, np.zeros(2, np.float32)), name="out"
    )
    session = open_session(graph.model(["out"]).SerializeToString(), 1)
    (found,) = session.run(None, {"states": np.full((3, width), 255, np.int64)})
    assert found.tolist() == [[255 * 63 * width, -255 * 63 * width]] * 3


def test_a_model_that_is_neither_bert_nor_roberta_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, BertForSequenceClassification)
    config = tmp_path / "config.json"
    write_json(config, {"model_type": "gpt2", "hidden_act": "gelu", "architectures": ["GPT2LMHeadModel"]})
    with pytest.raises(InputError, match="a gpt2 with gelu, expected one of bert, roberta with gelu"):
        export_model(tmp_path, tmp_path / "out", "int8", token_rows(3, pairs=False, each=False), 3)
