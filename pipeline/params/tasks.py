"""The sections of `tasks`: what the teacher labels, teacher and student, and a task as a whole."""

import functools
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.distillation import DistillParams, StudentParams
from pipeline.params.evaluation import EvaluateParams, GateParams, IdentityGroup
from pipeline.params.export import ExportParams
from pipeline.params.generation import GenerationParams
from pipeline.params.section import Label, Name, Section
from pipeline.params.task_types import OF_LAYERS, TASK_TYPES
from pipeline.params.training import TrainingParams

SHORTEST_PROMPT = 4  # tokens of a text that a model can go on with, whatever it may write


class TransferParams(Section):
    """The transfer set: unlabelled texts that the teacher labels for the student."""

    sentences: Annotated[int, Field(ge=0)]
    """Maximum number of sentences to take from the corpus."""
    min_words: Annotated[int, Field(ge=1)]
    """Minimum length of a text in words."""
    max_words: Annotated[int, Field(ge=1)]
    """Maximum length of a text in words."""
    selection: Literal["uniform", "importance"]
    """How sentences are drawn: uniformly, or with a preference for those that resemble the task's training rows."""
    recombined: Annotated[int, Field(ge=0)]
    """Maximum number of texts to make by recombining pieces of the task's training rows."""
    replaced: Annotated[int, Field(ge=0)] = 0
    """Maximum number of texts to make of training rows by exchanging words for others that the language model finds
    likely in their place (TinyBERT's augmentation); 0 where the key is left out. It needs the objective `masked_lm` or
    `masked_lm_next_sentence`, and weights whose masked-LM head was trained."""

    @property
    def made(self) -> dict[str, int]:
        """How many texts come from where, by key."""
        return {"sentences": self.sentences, "recombined": self.recombined, "replaced": self.replaced}


class MitigationParams(Section):
    """What is done so that a label does not depend on who a text speaks of.

    Counterfactual augmentation: English texts that speak of people once more, about others. People are exchanged, or
    said to be of some group where nothing is said of them, by other words than those by which
    `evaluate.identity_groups` measures. Re-weighting: training rows count so that a label is as frequent in each group
    as in all rows.
    """

    rows: bool
    """Whether the teacher also learns from training rows about other people, labelled as they are, and the student from
    what the teacher says of the rows as they are."""
    transfer: bool
    """Whether the student also learns from texts of the transfer set about other people, as the teacher labels them
    unchanged."""
    reweight_by_column: Label | None = None
    """Column of the dataset's `columns.metadata` whose values are the groups by which training rows of teacher and
    student are re-weighted; null weights none. For text classification only, as is `reweight_by_terms`."""
    reweight_by_terms: IdentityGroup | None = None
    """Way to tell people apart by which they are: rows that speak of either side, of both or of neither, by the words
    that augmentation exchanges; null weights none."""

    @model_validator(mode="after")
    def _one_weight_a_row(self) -> "MitigationParams":
        if self.reweight_by_column is not None and self.reweight_by_terms is not None:
            raise ValueError(
                f"reweight_by_terms must be null where reweight_by_column is given, got {self.reweight_by_terms}"
            )
        return self


class FinetuneParams(Section):
    """The teacher: the language model with a classification head, trained on the labelled rows."""

    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Dropout of hidden states and head during training; attention has none."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    """Share of the target probability that is spread evenly over all labels."""
    consistency: Annotated[float, Field(ge=0)]
    """Weight of the divergence between two readings of a row, each with its own dropout (R-Drop); 0 reads it once."""
    teachers: Annotated[int, Field(ge=1)] = 1
    """Number of teachers, of consecutive seeds, that answer as one, by the mean of their logits; 1 where the key is
    left out. Only for types that have labels, and a student of several learns by no loss that compares layers."""
    training: TrainingParams

    @model_validator(mode="after")
    def _two_readings_differ(self) -> "FinetuneParams":
        if self.consistency and not self.dropout:
            raise ValueError(
                "dropout must be > 0 when consistency has a weight, else both readings are the same, got 0.0"
            )
        return self


class TaskParams(Section):
    """One task: a teacher, a student, a registered model."""

    type: Literal[
        "text_classification",
        "multi_label_classification",
        "token_classification",
        "question_answering",
        "sentence_similarity",
        "text_generation",
        "translation",
        "summarization",
    ]
    """Kind of task: one label for a whole text (or a pair of texts), any number of labels for it, labelled spans in it,
    the place in it that answers a question (the dataset's column `pair`), how alike two texts are, going on with a
    text, token by token, or writing another text for it: the same in another language, or a shorter one."""
    dataset: Name
    """Dataset that the labelled rows come from."""
    labels: list[Label]
    """Names of the labels, of rows or of spans: the same as the dataset's, in the order of the model's outputs; [] for
    tasks without labels."""
    max_length: Annotated[int, Field(ge=8)]
    """Maximum length of a row in tokens, special tokens included; longer rows are cut. In question answering a longer
    text is read in windows, each with the question, that overlap by half, in text generation in windows that do not."""
    transfer: TransferParams
    mitigation: MitigationParams
    finetune: FinetuneParams
    student: StudentParams
    distill: DistillParams
    generation: GenerationParams | None
    """How text is written; null for tasks that write none."""
    export: ExportParams | None
    """The form in which the student is registered and served; null leaves it to PyTorch. So are students of other
    families than `bert` and `roberta`, whatever stands here: no graph is written of them."""
    calibration: Literal["temperature", "none"] = "temperature"
    """How a student's probabilities become honest: all its logits are divided by one number, the temperature that makes
    the labels of dev likeliest, which leaves its answers as they are (`temperature`, also where the key is left out);
    `none` takes them as they come. The types other than text, multi-label and token classification have no probability
    of one choice, whatever stands here."""
    thresholds: dict[Label, Annotated[float, Field(gt=0, lt=1)]] = Field({})
    """By label, the probability that it has to exceed to be given, such as `{negative: 0.8}`. In text classification a
    text whose likeliest label does not is answered with no label, `null`, and a label that is left out has no limit; in
    multi-label classification each label is held against its own, a half where it is left out. `{}`, or no
    such key, where there are none, as for all other types."""
    evaluate: EvaluateParams
    gate: GateParams

    @property
    def metrics(self) -> list[str]:
        """The figures of the type, first the one that the gate decides on: models are compared by it everywhere."""
        return sorted(TASK_TYPES[self.type].metrics, key=lambda name: name != self.gate.metric)

    @model_validator(mode="after")
    def _figures_and_slices_are_those_of_the_type(self) -> "TaskParams":
        kind = TASK_TYPES[self.type]
        for key, chosen, known in (
            ("gate.metric", [self.gate.metric], kind.metrics),
            ("evaluate.slices", self.evaluate.slices, (*kind.slices, *self.evaluate.columns)),
        ):
            for value in chosen:
                if value not in known:
                    raise ValueError(f"{key} must be one of {', '.join(known)} for {self.type}, got {value}")
        return self

    @model_validator(mode="after")
    def _keys_are_those_of_the_type(self) -> "TaskParams":
        kind = TASK_TYPES[self.type]
        for key, needed, value in (
            ("labels", kind.labelled, self.labels),
            ("generation", kind.writes, self.generation),
            ("distill.likeliest", self.type == "text_generation", self.distill.likeliest),
        ):
            if bool(value) != needed:
                raise ValueError(f"{key}: must {'' if needed else 'not '}be given for {self.type}")
        return self

    @model_validator(mode="after")
    def _thresholds_are_those_of_labels(self) -> "TaskParams":
        if self.thresholds and not TASK_TYPES[self.type].thresholds:
            raise ValueError(f"thresholds: must be {{}} for {self.type}, got {self.thresholds}")
        for label in self.thresholds:
            if label not in self.labels:
                raise ValueError(f"thresholds.{label}: must be one of labels {self.labels}")
        return self

    @model_validator(mode="after")
    def _keys_without_meaning_are_0(self) -> "TaskParams":
        for key in TASK_TYPES[self.type].without:
            value = functools.reduce(getattr, key.split("."), self)
            if value:
                raise ValueError(f"{key}: must be 0 for {self.type}, got {value}")
        return self

    @model_validator(mode="after")
    def _what_goes_on_with_a_text_has_room(self) -> "TaskParams":
        if self.type != "text_generation" or self.generation is None:
            return self
        if self.student.vocabulary_size is not None:
            raise ValueError(
                f"student.vocabulary_size: must be null (the teacher's tokens) for {self.type}, "
                f"got {self.student.vocabulary_size}"
            )
        if self.generation.max_tokens > self.max_length - SHORTEST_PROMPT:
            raise ValueError(
                f"generation.max_tokens: must be <= {self.max_length - SHORTEST_PROMPT}, max_length less "
                f"{SHORTEST_PROMPT} for what is gone on with, got {self.generation.max_tokens}"
            )
        return self

    @model_validator(mode="after")
    def _losses_are_those_of_the_type(self) -> "TaskParams":
        fitting, given = TASK_TYPES[self.type].losses, self.distill.losses.model_dump()
        for name, weight in given.items():
            if weight and name not in fitting:
                raise ValueError(f"distill.losses.{name}: must be 0 for {self.type}, got {weight}")
        if not any(given.values()):
            (name, *others) = fitting
            wanted = f"one of distill.losses.({', '.join(fitting)})" if others else f"distill.losses.{name}"
            raise ValueError(f"{wanted}: must be > 0 for {self.type}, got 0.0")
        return self

    @model_validator(mode="after")
    def _several_teachers_say_one_thing(self) -> "TaskParams":
        if self.finetune.teachers == 1:
            return self
        if not TASK_TYPES[self.type].labelled:
            raise ValueError(f"finetune.teachers: must be 1 for {self.type}, got {self.finetune.teachers}")
        for name in OF_LAYERS:
            if getattr(self.distill.losses, name):
                raise ValueError(
                    f"finetune.teachers: must be 1 when distill.losses.{name} has a weight, "
                    f"got {self.finetune.teachers}, whose layers have nothing in common"
                )
        return self

    @model_validator(mode="after")
    def _gaps_are_measured(self) -> "TaskParams":
        for heading in self.gate.max_accuracy_gaps:
            if heading not in self.evaluate.slices:
                raise ValueError(
                    f"gate.max_accuracy_gaps.{heading} must be one of evaluate.slices {self.evaluate.slices}"
                )
        return self

    @model_validator(mode="after")
    def _people_are_exchanged_in_texts_that_have_a_label(self) -> "TaskParams":
        if self.type != "text_classification":
            if self.evaluate.identity_groups:
                groups = self.evaluate.identity_groups
                raise ValueError(f"evaluate.identity_groups: must be [] for {self.type}, got {groups}")
            for name, value in self.mitigation.model_dump().items():
                if value:
                    off, found = ("false", "true") if value is True else ("null", value)
                    raise ValueError(f"mitigation.{name}: must be {off} for {self.type}, got {found}")
        for key in ("max_flip_rate", "max_flip_rate_increase"):
            if getattr(self.gate, key) is not None and not self.evaluate.identity_groups:
                raise ValueError(f"gate.{key}: must be null when evaluate.identity_groups is []")
        return self
