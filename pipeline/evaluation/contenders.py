"""Everything that answers the test rows: the networks that were trained, and the baselines that are trained here."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from pipeline.evaluation import baselines
from pipeline.evaluation.frozen_encoder import sentence_vectors
from pipeline.evaluation.table import LabelledTexts
from pipeline.training import runtime
from pipeline.training.prediction import Rows, predict_logits

BATCH_SIZE = 32


def network_logits(networks: Mapping[str, tuple[Path, Rows]]) -> dict[str, np.ndarray]:
    """Return the logits of each network, float32 (rows, classes), from its folder and the test rows in its tokens.

    Computed in float32, as the registered model is served.
    """
    from transformers import AutoModelForSequenceClassification

    logits = {}
    for name, (folder, rows) in networks.items():
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        logits[name] = predict_logits(
            model.to(runtime.device()),
            rows,
            batch_size=BATCH_SIZE,
            pad_token_id=model.config.pad_token_id,
            dtype=torch.float32,
            name=name.replace("_", " "),
        )
    return logits


def baseline_predictions(
    splits: Mapping[str, LabelledTexts],
    *,
    tokens: Mapping[str, Rows],
    pretrained: Path,
    transfer: list[str],
    teacher_logits: np.ndarray,
    dtype: torch.dtype,
) -> dict[str, np.ndarray]:
    """Return what each baseline predicts for the test rows, class indices int64 (rows,).

    `splits` and `tokens` hold train, dev and test; `teacher_logits` (rows, classes) are those of the train texts
    followed by the `transfer` texts.
    """
    train, dev, test = (splits[split] for split in ("train", "dev", "test"))
    predicted = {"majority": baselines.majority(train.labels, len(test.ids))}
    print("baselines: naive Bayes, TF-IDF and logistic regression", flush=True)
    predicted["naive_bayes"] = baselines.naive_bayes(train, dev, test.texts)
    predicted["tfidf_logistic_regression"] = baselines.tfidf_logistic_regression(train, dev, test.texts)
    print(f"baselines: logistic regression on the teacher's soft labels, {len(teacher_logits):,} rows", flush=True)
    predicted["distilled_tfidf_logistic_regression"] = baselines.distilled_tfidf_logistic_regression(
        train.texts + transfer, teacher_logits, dev, test.texts
    )
    vectors = sentence_vectors(pretrained, tokens, dtype)
    predicted["frozen_encoder_logistic_regression"] = baselines.frozen_encoder_logistic_regression(
        vectors["train"], train.labels, vectors["dev"], dev.labels, vectors["test"]
    )
    return predicted
