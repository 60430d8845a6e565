"""What goes with each type of task: its figures, the groupings of its rows, the columns and the families it needs."""

from typing import NamedTuple


class TaskType(NamedTuple):
    """A type of task, as params.yaml has to fit it.

    metrics: the figures that its models can be compared by, first the one that slices show. slices: the groupings that
    its rows have. columns: those that its dataset has to name. optional: further ones that it can read. families: of
    those models that have a head for it. labelled: whether it has labels. writes: whether its answers are written,
    token by token. without: the keys of a task that say nothing of it and must be 0.
    """

    metrics: tuple[str, ...]
    slices: tuple[str, ...]
    columns: tuple[str, ...]
    optional: tuple[str, ...]
    families: tuple[str, ...]
    labelled: bool = True
    writes: bool = False
    without: tuple[str, ...] = ()


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
    "question_answering": TaskType(
        metrics=("token_f1", "exact_match"),
        slices=("source", "length"),
        columns=("pair", "spans"),
        optional=(),
        families=("bert", "roberta", "modernbert"),  # for the same reason
    ),
    "sentence_similarity": TaskType(
        metrics=("spearman",),
        slices=("source", "length"),
        columns=("pair", "score"),
        optional=(),
        families=("bert", "roberta"),
        labelled=False,
        without=(  # an answer is one number: there are no probabilities, and the layers' outputs are two texts'
            "finetune.label_smoothing",
            "finetune.consistency",
            "distill.losses.soft_labels",
            "distill.losses.hidden_states",
            "distill.losses.attentions",
        ),
    ),
    "text_generation": TaskType(
        metrics=("bits_per_character", "perplexity"),
        slices=("source", "length"),
        columns=(),
        optional=("target",),
        families=("gpt", "llama"),
        labelled=False,
        writes=True,
        without=("finetune.consistency", "distill.losses.logits", "transfer.recombined"),
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
TYPE_OF_METRIC = {metric: name for name, kind in TASK_TYPES.items() for metric in kind.metrics}
WRITTEN_BY_ENCODER_DECODERS = [name for name, kind in TASK_TYPES.items() if kind.families == ("encoder_decoder",)]
