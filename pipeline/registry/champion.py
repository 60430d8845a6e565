"""The version of a registered model that carries the alias @champion."""

import logging
import warnings
from typing import Any

from pipeline import tracking
from pipeline.files import InputError


def predict(task: str, texts: list[str]) -> list[dict[str, Any]]:
    """Return one `{"text", "label", "score"}` or `{"text", "spans"}` per text, as the champion of `task` answers.

    Raises InputError where the registry holds no champion of that name, or where the model refuses a text: a blank one,
    one of over a million characters, half of a surrogate pair.
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
    # progress bars and advice on type hints would stand between the user and the answer
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = mlflow.pyfunc.load_model(uri)
        try:
            # as objects: pandas' own text takes no half of a surrogate pair, which the model refuses in better words
            answers = model.predict(pd.DataFrame({"text": texts}, dtype=object)).to_dict(orient="records")
        except mlflow.exceptions.MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            raise InputError(f"{uri}: {error.message}") from None
    return [{"text": text, **answer} for text, answer in zip(texts, answers, strict=True)]
