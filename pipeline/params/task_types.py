"""What goes with each type of task: its figures, the groupings of its rows, the columns and the families it needs."""

from typing import NamedTuple


class TaskType(NamedTuple):
    """A type of task, as params.yaml has to fit it.

    metrics: the figures that its models are compared by, the main one first. slices: the groupings that its rows have.
    columns: those that its dataset has to name. optional: further ones that it can read. families: of those models that
    have a head for it. labelled: whether it has labels. writes: whether its answers are written, token by token.
    """

    metrics: tuple[str, ...]
    slices: tuple[str, ...]
    columns: tuple[str, ...]
    optional: tuple[str, ...]
    families: tuple[str, ...]
    labelled: bool = True
    writes: bool = False


TASK_TYPES = {
    "text_classification": TaskType(
        metrics=("accuracy", "macro_f1"),
        slices=("source", "label", "length"),
        columns=("label",),
        optional=("pair",),
        families=("bert", "roberta", "gpt"),
    ),
    "token_classification": TaskType(
        metrics=("span_f1",),
        slices=("source", "length"),
        columns=("spans",),
        optional=(),
        families=("bert", "roberta"),  # a GPT's tag of a token would not know what comes after it
    ),
    "translation": TaskType(
        metrics=("bleu", "chrf"),
        slices=("source", "length"),
        columns=("target",),
        optional=(),
        families=("encoder_decoder",),
        labelled=False,
        writes=True,
    ),
    "summarization": TaskType(
        metrics=("rouge_l", "rouge_1", "rouge_2"),
        slices=("source", "length"),
        columns=("target",),
        optional=(),
        families=("encoder_decoder",),
        labelled=False,
        writes=True,
    ),
}
WRITTEN_BY_ENCODER_DECODERS = [name for name, kind in TASK_TYPES.items() if kind.families == ("encoder_decoder",)]
