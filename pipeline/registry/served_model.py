"""The registered student as MLflow loads it: models from code, no pickle, nothing of this repository.

MLflow copies this file beside the weights, so it may import only what the model's requirements name.
"""

from typing import Any, NoReturn

import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from transformers import AutoModelForSequenceClassification, AutoTokenizer

BATCH_ROWS = 32
MAX_CHARACTERS = 1_000_000  # as ingest has it: what is longer is no text


class TextClassifier(PythonModel):
    """Texts in, one label and its probability out, in the order they came."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the `from_pretrained` folder that was registered with this file."""
        folder = context.artifacts["model"]
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return columns `label` and `score` for column `text`; refuse, as INVALID_PARAMETER_VALUE, what is no text."""
        texts = _texts(model_input)
        by_length = sorted(range(len(texts)), key=lambda position: len(texts[position]))
        answers: dict[int, tuple[str, float]] = {}
        for start in range(0, len(texts), BATCH_ROWS):
            chosen = by_length[start : start + BATCH_ROWS]
            batch = self.tokenizer([texts[i] for i in chosen], truncation=True, padding=True, return_tensors="pt")
            with torch.inference_mode():
                scores, labels = self.model(**batch).logits.double().softmax(dim=-1).max(dim=-1)
            for i, label, score in zip(chosen, labels.tolist(), scores.tolist(), strict=True):
                answers[i] = (self.model.config.id2label[label], score)
        return pd.DataFrame([answers[i] for i in range(len(texts))], columns=["label", "score"])


def _texts(model_input: Any) -> list[str]:
    """Return the texts of a frame that has one column, `text`; raise MlflowException where one of them is none."""
    columns = [str(column) for column in getattr(model_input, "columns", ())]
    if columns != ["text"]:
        _refuse(f"expected a table with one column, text, got {type(model_input).__name__} with columns {columns[:10]}")
    texts = list(model_input["text"])
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            _refuse(f"row {row}: text must be a string, got {type(text).__name__}")
        if not text.strip():
            _refuse(f"row {row}: text is blank, expected words")
        if len(text) > MAX_CHARACTERS:
            _refuse(f"row {row}: text has {len(text):,} characters, expected at most {MAX_CHARACTERS:,}")
        try:
            text.encode()
        except UnicodeEncodeError:
            _refuse(f"row {row}: text holds half of a surrogate pair, expected Unicode text")
    return texts


def _refuse(reason: str) -> NoReturn:
    raise MlflowException(reason, INVALID_PARAMETER_VALUE)


set_model(TextClassifier())
