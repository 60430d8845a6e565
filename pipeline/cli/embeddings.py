"""What the student of a registered version makes of texts: a vector for each."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np


def student_vectors(mlflow: ModuleType, version: Any, texts: list[str]) -> np.ndarray | None:
    """Return the mean of the last hidden states of each text, float32 (texts, width), by the weights of `version`.

    An encoder-decoder is asked for its encoder's. None where the registry has no student, or no more.
    """
    import torch

    from pipeline.evaluation.frozen_encoder import MeanPooled, frozen_vectors
    from pipeline.tokenization.encoding import encode_rows
    from pipeline.tokenization.folder import load_tokenizer, read_max_length

    try:
        stored = mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}")
    except (mlflow.exceptions.MlflowException, OSError):
        return None
    folder = Path(stored) / "artifacts" / "model"
    if not folder.is_dir():  # a version of something else
        return None
    tokenizer, labels = load_tokenizer(folder)[0], np.zeros(len(texts), np.int64)
    rows = {"texts": encode_rows(tokenizer, texts, labels, read_max_length(folder))}
    return frozen_vectors(MeanPooled, folder, rows, torch.float32, f"{version.name}/{version.version}")["texts"]
