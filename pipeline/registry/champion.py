"""A registered model as its users ask it: the version that carries the alias @champion, or one by its number."""

import logging
import warnings
from dataclasses import dataclass
from typing import Any

from pipeline import tracking
from pipeline.files import InputError
from pipeline.registry.publish import STUDENT_HASH


@dataclass(frozen=True)
class Version:
    """A version of a registered model, loaded. uri: how errors call it. student_sha256: of its weights, if tagged."""

    name: str
    number: int
    uri: str
    run_id: str
    student_sha256: str | None
    model: Any

    @property
    def inputs(self) -> list[str]:
        """The names of the texts that the model reads of a row: `text`, and `pair` where it was taught with pairs."""
        return [str(column.name) for column in self.model.metadata.signature.inputs]

    @property
    def outputs(self) -> dict[str, Any]:
        """The names of what it answers, with their MLflow types."""
        return {str(column.name): column.type for column in self.model.metadata.signature.outputs}

    def answer(self, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
        """Return what the model answers to each row, such as `{"label", "score"}`.

        Raises InputError where it refuses a row: one that lacks a text or has one too many, a blank text, one of over a
        million characters, half of a surrogate pair.
        """
        import pandas as pd
        from mlflow.exceptions import MlflowException

        try:
            # as objects: pandas' own text takes no half of a surrogate pair, which the model refuses in better words
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return list(self.model.predict(pd.DataFrame(rows, dtype=object)).to_dict(orient="records"))
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            raise InputError(f"{self.uri}: {error.message}") from None


def load(name: str, number: int | None = None) -> Version:
    """Return a version of a registered model, @champion where no number is given.

    Raises InputError where the registry does not hold it.
    """
    from transformers.utils import logging as transformers_logging

    mlflow = tracking.connect()
    client, uri = mlflow.MlflowClient(), f"models:/{name}{'@champion' if number is None else f'/{number}'}"
    try:
        found = (
            client.get_model_version_by_alias(name, "champion")
            if number is None
            else client.get_model_version(name, str(number))
        )
    except mlflow.exceptions.MlflowException:
        raise InputError(
            f"{uri}: not in the registry at {mlflow.get_tracking_uri()}, expected a registered model; run `make run`"
        ) from None
    # progress bars and advice on type hints would stand between the user and the answer
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # by its number: the alias may have moved since it was looked up
        model = mlflow.pyfunc.load_model(f"models:/{name}/{found.version}")
    return Version(name, int(found.version), uri, found.run_id, found.tags.get(STUDENT_HASH), model)


def predict(task: str, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return each row and what the champion of `task` answers to it, such as `{"text", "label", "score"}`.

    A row is `{"text"}`, or `{"text", "pair"}` where the task is one for pairs of texts. Raises InputError where the
    registry holds no champion of that name, or where the model refuses a row.
    """
    champion = load(task)
    return [{**row, **answer} for row, answer in zip(rows, champion.answer(rows) if rows else [], strict=True)]
