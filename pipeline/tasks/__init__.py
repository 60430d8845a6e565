"""What a model can be asked to do, by the name that stands in params.yaml as `tasks.T.type`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.tasks.labelling import LabellingTask


def _text_classification(labels: list[str]) -> "LabellingTask":
    from pipeline.tasks.text_classification import TextClassification

    return TextClassification(labels)


def _token_classification(labels: list[str]) -> "LabellingTask":
    from pipeline.tasks.token_classification import TokenClassification

    return TokenClassification(labels)


# each value takes the task's labels and imports its module when it is called: torch is paid for only where it is used
TASKS: dict[str, Callable[[list[str]], "LabellingTask"]] = {
    "text_classification": _text_classification,
    "token_classification": _token_classification,
}
