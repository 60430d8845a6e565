"""What goes with each type of task: its figures, the groupings of its rows, the columns and the families it needs."""

from typing import NamedTuple

# the losses of distillation by what they read; `tasks.NAME.distill.losses` has a weight for each
PROBABILITIES = ("soft_labels", "reverse_kl", "jensen_shannon")
OF_LAYER_MAP = ("hidden_states", "hidden_cosines", "attentions")
RELATIONS = ("query_relations", "key_relations", "value_relations")
OF_RELATION_MAP = ("attention_distributions", *RELATIONS)
OF_LAYERS = (*OF_LAYER_MAP, *OF_RELATION_MAP)
OF_ATTENTION = ("attentions", *OF_RELATION_MAP)  # only families in WITH_ATTENTIONS have what these read
OF_HEADS = ("attentions", "attention_distributions")  # teacher and student need as many attention heads
OF_LABELS = (*PROBABILITIES, "logits", "hard_labels", *OF_LAYERS)


class TaskType(NamedTuple):
    """A type of task, as params.yaml has to fit it.

    metrics: the figures that its models can be compared by, first the one that slices show. slices: the groupings that
    its rows have. columns: those that its dataset has to name. optional: further ones that it can read. families: of
    those models that have a head for it. losses: those that its student can be distilled by. labelled: whether it has
    labels. writes: whether its answers are written, token by token. calibrated: whether an answer's probability is that
    of one choice, which a temperature makes honest. thresholds: whether a text's answer is a label, which can be
    withheld. without: further keys that say nothing of it and must be 0.
    """

    metrics: tuple[str, ...]
    slices: tuple[str, ...]
    columns: tuple[str, ...]
    optional: tuple[str, ...]
    families: tuple[str, ...]
    losses: tuple[str, ...]
    labelled: bool = True
    writes: bool = False
    calibrated: bool = False
    thresholds: bool = False
    without: tuple[str, ...] = ()


TASK_TYPES = {
    "text_classification": TaskType(
        metrics=("accuracy", "macro_f1"),
        slices=("source", "label", "length"),
        columns=("label",),
        optional=("pair",),
        families=("bert", "roberta", "modernbert", "gpt", "llama", "bilstm"),
        losses=OF_LABELS,
        calibrated=True,
        thresholds=True,
    ),
    "multi_label_classification": TaskType(
        metrics=("micro_f1", "macro_label_f1", "subset_accuracy"),
        slices=("source", "label", "length"),
        columns=("labels",),
        optional=("pair",),
        families=("bert", "roberta", "modernbert", "gpt", "llama", "bilstm"),
        losses=OF_LABELS,
        calibrated=True,
        thresholds=True,
    ),
    "token_classification": TaskType(
        metrics=("span_f1",),
        slices=("source", "length"),
        columns=("spans",),
        optional=(),
        families=(
            "bert",
            "roberta",
            "modernbert",
            "bilstm",
        ),  # a GPT's tag of a token would not know what comes after it
        losses=OF_LABELS,
        calibrated=True,
    ),
    "question_answering": TaskType(
        metrics=("token_f1", "exact_match"),
        slices=("source", "length"),
        columns=("pair", "spans"),
        optional=(),
        families=("bert", "roberta", "modernbert"),  # for the same reason
        losses=OF_LABELS,
    ),
    "sentence_similarity": TaskType(
        metrics=("spearman",),
        slices=("source", "length"),
        columns=("pair", "score"),
        optional=(),
        families=("bert", "roberta"),
        losses=("logits", "hard_labels"),  # there are no probabilities, and the layers' outputs are two texts'
        labelled=False,
        without=("finetune.label_smoothing", "finetune.consistency"),  # an answer is one number
    ),
    "text_generation": TaskType(
        metrics=("bits_per_character", "perplexity"),
        slices=("source", "length"),
        columns=(),
        optional=("target",),
        families=("gpt", "llama"),
        losses=(*PROBABILITIES, "hard_labels", "hidden_states", "hidden_cosines"),
        labelled=False,
        writes=True,
        without=("finetune.consistency", "transfer.recombined"),
    ),
    "translation": TaskType(
        metrics=("bleu", "chrf"),
        slices=("source", "length"),
        columns=("target",),
        optional=(),
        families=("encoder_decoder", "gpt", "llama"),
        losses=("sequences",),
        labelled=False,
        writes=True,
    ),
    "summarization": TaskType(
        metrics=("rouge_l", "rouge_1", "rouge_2"),
        slices=("source", "length"),
        columns=("target",),
        optional=(),
        families=("encoder_decoder", "gpt", "llama"),
        losses=("sequences",),
        labelled=False,
        writes=True,
    ),
}
TYPE_OF_METRIC = {metric: name for name, kind in TASK_TYPES.items() for metric in kind.metrics}
WRITTEN_FOR_TEXTS = [name for name, kind in TASK_TYPES.items() if kind.writes and "target" in kind.columns]
