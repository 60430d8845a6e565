"""What a model can be asked to do, by the name that stands in params.yaml as `tasks.T.type`.

`TASKS["text_classification"]()` is a class whose `from_params(task)` makes the task that a section of `tasks`
describes; its module, and with it torch, is imported when it is called for.
"""

from collections.abc import Callable
from typing import Any


def _text_classification() -> type:
    from pipeline.tasks.text_classification import TextClassification

    return TextClassification


def _multi_label_classification() -> type:
    from pipeline.tasks.multi_label_classification import MultiLabelClassification

    return MultiLabelClassification


def _token_classification() -> type:
    from pipeline.tasks.token_classification import TokenClassification

    return TokenClassification


def _question_answering() -> type:
    from pipeline.tasks.question_answering import QuestionAnswering

    return QuestionAnswering


def _sentence_similarity() -> type:
    from pipeline.tasks.sentence_similarity import SentenceSimilarity

    return SentenceSimilarity


def _text_generation() -> type:
    from pipeline.tasks.text_generation import TextGeneration

    return TextGeneration


def _translation() -> type:
    from pipeline.tasks.translation import Translation

    return Translation


def _summarization() -> type:
    from pipeline.tasks.summarization import Summarization

    return Summarization


TASKS: dict[str, Callable[[], Any]] = {
    "text_classification": _text_classification,
    "multi_label_classification": _multi_label_classification,
    "token_classification": _token_classification,
    "question_answering": _question_answering,
    "sentence_similarity": _sentence_similarity,
    "text_generation": _text_generation,
    "translation": _translation,
    "summarization": _summarization,
}
