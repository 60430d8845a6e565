"""Pairs of texts through all the stages of text classification: only both together tell the label."""

import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.files import read_json
from pipeline.registry import champion
from pipeline.tasks import TASKS
from pipeline.tokenization.ragged import TokenRows
from tests.stages.pair_project import ROWS, Pair, pair_params, predict_elsewhere, run_stages, texts_of, write_pairs

LABELS = ["negative", "positive"]


def alike_or_not(seed: int, count: int) -> tuple[list[Pair], list[str]]:
    """Return each text beside itself in another order, `positive`, and beside the next one, `negative`.

    Every text stands with both labels, on either side.
    """
    chance = random.Random(seed)
    texts = [*dict.fromkeys(texts_of(chance, count))]
    others = [" ".join(chance.sample(text.split(), 3)) for text in texts]
    pairs = [*zip(texts, others, strict=True), *zip(texts, others[1:] + others[:1], strict=True)]
    return pairs, ["positive"] * len(texts) + ["negative"] * len(texts)


def test_a_label_that_only_both_texts_tell_is_learnt_and_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for split, seed, count in (("train", 3, 20), ("dev", 3, 20), ("test", 2, 10)):
        pairs, labels = alike_or_not(seed, count)
        write_pairs(ROWS / f"{split}.parquet", pairs, label=labels)
    columns = {"text": "text", "pair": "pair", "label": "label", "source": "source"}
    given = pair_params("text_classification", epochs=100, datasets__rotten_tomatoes__columns=columns)
    summary = run_stages(given)
    for side in ("finetune", "distill"):
        history = read_json(Path(f"reports/sentiment/{side}.json"))
        assert max(record["accuracy"] or 0 for record in history) > 0.95, side  # pairs it was trained on
    assert summary["registered"]["aliases"] == ["champion"]

    said = pq.read_table("reports/sentiment/predictions.parquet").to_pydict()
    served = predict_elsewhere(list(zip(said["text"], said["pair"], strict=True)))
    assert [LABELS.index(row["label"]) for row in served] == said["student"]
    scores = [said[f"student_score_{row['label']}"][place] for place, row in enumerate(served)]
    np.testing.assert_allclose([row["score"] for row in served], scores, atol=1e-5)
    (answer,) = champion.predict("sentiment", [{"text": "apple candle", "pair": "bridge"}])
    assert list(answer) == ["text", "pair", "label", "score"]

    head, rows = TASKS["text_classification"]()(LABELS), TokenRows.load(Path("tokens/teacher/test"))
    teacher = head.load(Path("teacher")).eval()
    batch = head.collate([*head.rows(rows)], teacher.config.pad_token_id)
    assert batch["token_type_ids"].any(dim=1).all()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    loss = head.loss(teacher)(**batch)
    expected = teacher(**inputs, labels=batch["labels"]).loss
    torch.testing.assert_close(loss["loss"] / loss["count"], expected, rtol=1e-5, atol=1e-5)
