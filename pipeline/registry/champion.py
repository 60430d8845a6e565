"""The version of a registered model that carries the alias @champion."""

import logging
import warnings
from typing import Any

from pipeline import tracking
from pipeline.files import InputError


def predict(task: str, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return each row and what the champion of `task` answers to it, such as `{"text", "label", "score"}`.

    A row is `{"text"}`, or `{"text", "pair"}` where the task is one for pairs of texts. Raises InputError where the
    registry holds no champion of that name, or where the model refuses a row: one that lacks a text or has one too
    many, a blank text, one of over a million characters, half of a surrogate pair.
    """
    import pandas as pd
    from transformers.utils import logging as transformers_logging

    mlflow = tracking.connect()
    uri = f"models:/{task}@champion"
    try:
        mlflow.MlflowClient().get_model_version_by_alias(task, "champion")
    except mlflow.exceptions.MlflowException:
        raise InputError(
            f"{uri}: not in the registry at {mlflow.get_tracking_uri()}, expected a registered model; run `make run`"
        ) from None
    if not rows:
        return []
    # progress bars and advice on type hints would stand between the user and the answer
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = mlflow.pyfunc.load_model(uri)
        try:
            # as objects: pandas' own text takes no half of a surrogate pair, which the model refuses in better words
            answers = model.predict(pd.DataFrame(rows, dtype=object)).to_dict(orient="records")
        except mlflow.exceptions.MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            raise InputError(f"{uri}: {error.message}") from None
    return [{**row, **answer} for row, answer in zip(rows, answers, strict=True)]
