"""What a model can be asked to do, by the name that stands in params.yaml as `tasks.T.type`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.tasks.text_classification import TextClassification


def _text_classification(labels: list[str]) -> "TextClassification":
    from pipeline.tasks.text_classification import TextClassification

    return TextClassification(labels)


# each value takes the task's labels and imports its module when it is called: torch is paid for only where it is used
TASKS = {"text_classification": _text_classification}
