"""Sentence similarity through all the stages: contrastive pretraining, teacher, student, evaluation, served model."""

import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from pipeline.architectures.exported import ExportedModel
from pipeline.files import InputError, read_json
from pipeline.params import Params
from pipeline.params.task_types import OF_LABELS
from pipeline.registry import champion
from pipeline.stages import tokenize
from pipeline.tokenization.encoding import encode_rows
from pipeline.tokenization.folder import load_tokenizer
from pipeline.training.prediction import predict_logits
from tests.stages.pair_project import ROWS, Pair, pair_params, predict_elsewhere, run_stages, texts_of, write_pairs

LOSSES = dict.fromkeys(OF_LABELS, 0.0) | {"logits": 1.0, "hard_labels": 0.5}
CONTRASTIVE = {"temperature": 0.05, "pooling": "mean", "masked_lm": 1.0}


def similarity_params(family: str = "bert", **changes: Any) -> Params:
    task: dict[str, Any] = {"labels": [], "distill__losses": LOSSES, "distill__temperature": 1.0}
    task |= {"evaluate__slices": ["source", "length"], "gate__metric": "spearman"}
    dataset = {"columns": {"text": "text", "pair": "pair", "score": "score", "source": "source"}, "labels": None}
    settings: dict[str, Any] = {f"tasks__sentiment__{key}": value for key, value in task.items()}
    settings |= {f"datasets__rotten_tomatoes__{key}": value for key, value in dataset.items()}
    settings |= {"pretrain__objective": "contrastive", "pretrain__contrastive": CONTRASTIVE}
    return pair_params("sentence_similarity", family, **(settings | {"pretrain__max_tokens": 3000} | changes))


def scored(chance: random.Random, count: int) -> tuple[list[Pair], list[float]]:
    """Return pairs of texts and how many things both name, from 0 to 3; every text stands with different others."""
    pairs = list(zip(texts_of(chance, count), texts_of(chance, count), strict=True))
    pairs = [(text, text if row % 4 == 0 else pair) for row, (text, pair) in enumerate(pairs)]
    return pairs, [float(len({*text.split()} & {*pair.split()})) for text, pair in pairs]


@pytest.mark.parametrize("family", ["bert", pytest.param("roberta", marks=pytest.mark.slow)])
def test_from_raw_text_to_similarities_elsewhere(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for split, seed, count in (("train", 1, 60), ("dev", 1, 60), ("test", 2, 30)):
        pairs, scores = scored(random.Random(seed), count)
        write_pairs(ROWS / f"{split}.parquet", pairs, score=scores)
    summary = run_stages(similarity_params(family))
    assert summary["metric"] == "spearman" and summary["registered"]["aliases"] == ["champion"]
    assert {"tfidf_cosine", "character_tfidf_cosine", "frozen_encoder_cosine", "undistilled_student"} <= set(
        summary["baselines"]
    )
    history = read_json(Path("reports/sentiment/finetune.json"))
    assert max(record["spearman"] or 0 for record in history) > 0.9  # the pairs that it was trained on
    assert summary["student"]["spearman"] > 0.6

    said = pq.read_table("reports/sentiment/predictions.parquet").to_pydict()
    served = predict_elsewhere(list(zip(said["text"], said["pair"], strict=True)))
    np.testing.assert_allclose([row["similarity"] for row in served], said["student"], atol=1e-5)
    plain = plain_cosines(Path("student"), said["text"], said["pair"])
    np.testing.assert_allclose(said["student_in_pytorch"], plain, atol=1e-5)
    np.testing.assert_allclose(said["student"], plain, atol=0.05)  # in 8 bits
    (answer,) = champion.predict("sentiment", [{"text": "apple candle", "pair": "apple candle"}])
    assert list(answer) == ["text", "pair", "similarity"] and answer["similarity"] == pytest.approx(1.0)
    retrieval = read_json(Path("reports/sentiment/evaluation.json"))["retrieval"]
    vectors = {text: served_vector(text) for text in {*said["text"], *said["pair"]}}
    texts = list(vectors)
    off = [float((vectors[text] - plain_vector(Path("student"), text)).abs().max()) for text in texts]
    assert 1e-4 < max(off) < 0.5  # of the graph in 8 bits, and near what it was made of
    read = encode_rows(load_tokenizer(Path("exported"))[0], texts, np.zeros(len(texts), np.int64), 24)
    asked = predict_logits(ExportedModel(Path("exported")), read, batch_size=8, pad_token_id=0, dtype=torch.float32)
    np.testing.assert_allclose(asked, torch.stack([*vectors.values()]).numpy(), atol=1e-5)
    assert retrieval["found_by"]["student"] == found_plainly(vectors, said)
    assert set(retrieval["found_by"]) == {"bm25", "teacher", "student"}
    page = Path("reports/index.html").read_text(encoding="utf-8")
    assert "ranks a pair furthest" in page and "Spearman correlation" in page and "Is the right text found" in page
    assert "pipeline_tag: sentence-similarity" in Path("reports/sentiment/model_card.md").read_text(encoding="utf-8")


@cache
def loaded(folder: Path) -> tuple[Any, Any]:
    return AutoModel.from_pretrained(folder, add_pooling_layer=False), AutoTokenizer.from_pretrained(folder)


def plain_vector(folder: Path, text: str) -> torch.Tensor:
    """Return the mean hidden state of a text as anybody would compute it with transformers alone."""
    model, tokenizer = loaded(folder.resolve())
    with torch.inference_mode():
        mean: torch.Tensor = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0)
    return mean


def served_vector(text: str) -> torch.Tensor:
    """Return the vector that the graph gives a text, read by itself with ONNX Runtime alone."""
    ids = np.array([loaded(Path("student").resolve())[1](text)["input_ids"]])
    (found,) = session(Path("exported").resolve()).run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    return torch.from_numpy(found[0])


@cache
def session(folder: Path) -> Any:
    return onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def plain_cosines(folder: Path, texts: list[str], pairs: list[str]) -> list[float]:
    return [
        float(torch.cosine_similarity(plain_vector(folder, text), plain_vector(folder, pair), dim=0))
        for text, pair in zip(texts, pairs, strict=True)
    ]


def found_plainly(vectors: dict[str, torch.Tensor], rows: dict[str, list[Any]]) -> dict[str, float]:
    """Return how often the pair of an alike text is the nearest of all pairs, and among the five nearest."""
    passages = list(dict.fromkeys(rows["pair"]))
    limit = min(rows["label"]) + 0.8 * (max(rows["label"]) - min(rows["label"]))
    places = []
    for text, pair, score in zip(rows["text"], rows["pair"], rows["label"], strict=True):
        if score >= limit:
            near = [float(torch.cosine_similarity(vectors[text], vectors[other], dim=0)) for other in passages]
            places.append(sorted(near, reverse=True).index(near[passages.index(pair)]))
    return {f"recall_at_{count}": round(np.mean([place < count for place in places]), 6) for count in (1, 5)}


def test_rows_without_a_score_are_the_users_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = [("apple", "bridge"), ("candle", "dragon")]
    write_pairs(ROWS / "train.parquet", pairs, score=[1.0, None])
    with pytest.raises(InputError, match=r"rows/train\.parquet: row train0001: no score, expected a number"):
        tokenize.read_scores(ROWS / "train.parquet", [])
    write_pairs(ROWS / "train.parquet", pairs, score=[1.0, 1.0])
    with pytest.raises(InputError, match=r"train\.parquet: every score is 1, expected different ones"):
        tokenize.read_scores(ROWS / "train.parquet", [])
    write_pairs(ROWS / "train.parquet", pairs, score=[1.0, 5.0])
    write_pairs(ROWS / "dev.parquet", pairs, score=[2.0, 6.0])
    assert tokenize.read_scores(ROWS / "dev.parquet", []).tolist() == [0.25, 1.0]
