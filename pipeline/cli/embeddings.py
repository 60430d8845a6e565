"""What the student of a registered version makes of texts: a vector for each."""

from types import ModuleType
from typing import Any

import numpy as np

from pipeline.registry.champion import student_folder


def student_vectors(mlflow: ModuleType, version: Any, texts: list[str]) -> np.ndarray | None:
    """Return the mean of the last hidden states of each text, float32 (texts, width), by the weights of `version`.

    An encoder-decoder is asked for its encoder's. None where the registry has no student, or no more.
    """
    import torch

    from pipeline.evaluation.frozen_encoder import MeanPooled, frozen_vectors
    from pipeline.tokenization.encoding import encode_rows
    from pipeline.tokenization.folder import load_tokenizer, read_max_length

    folder = student_folder(mlflow, version)
    if folder is None:
        return None
    tokenizer, labels = load_tokenizer(folder)[0], np.zeros(len(texts), np.int64)
    rows = {"texts": encode_rows(tokenizer, texts, labels, read_max_length(folder))}
    return frozen_vectors(MeanPooled, folder, rows, torch.float32, f"{version.name}/{version.version}")["texts"]
