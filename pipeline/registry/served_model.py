"""The registered student as MLflow loads it: models from code, no pickle, nothing of this repository.

MLflow copies this file beside the weights, so it may import only what the model's requirements name.
"""

from typing import Any

import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from transformers import AutoModelForSequenceClassification, AutoTokenizer

BATCH_ROWS = 32


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
        texts = list(model_input["text"])
        for position, text in enumerate(texts):
            if not isinstance(text, str):
                raise MlflowException(
                    f"row {position}: text must be a string, got {type(text).__name__}", INVALID_PARAMETER_VALUE
                )
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


set_model(TextClassifier())
