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
        families=("bert", "roberta", "modernbert", "gpt", "llama"),
    ),
    "token_classification": TaskType(
        metrics=("span_f1",),
        slices=("source", "length"),
        columns=("spans",),
        optional=(),
        families=("bert", "roberta", "modernbert"),  # a GPT's tag of a token would not know what comes after it
    ),
    "text_generation": TaskType(
        metrics=("bits_per_character", "perplexity"),
        slices=("source", "length"),
        columns=(),
        optional=("target",),
        families=("gpt", "llama"),
        labelled=False,
        writes=True,
    ),
}
