"""The sections of `tasks`: what the teacher labels, teacher and student, and a task as a whole."""

import functools
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.evaluation import EvaluateParams, GateParams
from pipeline.params.generation import GenerationParams
from pipeline.params.section import Label, Name, Section
from pipeline.params.task_types import TASK_TYPES, WRITTEN_BY_ENCODER_DECODERS
from pipeline.params.training import ArchitectureParams, TrainingParams

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


class MitigationParams(Section):
    """Counterfactual augmentation: English texts that speak of people once more, with these people exchanged.

    The words that are exchanged are other ones than those by which `evaluate.identity_groups` measures.
    """

    rows: bool
    """Whether the teacher also learns from training rows with people exchanged, labelled as they are, and the student
    from what the teacher says of the rows as they are."""
    transfer: bool
    """Whether the student also learns from texts of the transfer set with people exchanged, as the teacher labels them
    unchanged."""


class FinetuneParams(Section):
    """The teacher: the language model with a classification head, trained on the labelled rows."""

    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Dropout of hidden states and head during training; attention has none."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    """Share of the target probability that is spread evenly over all labels."""
    consistency: Annotated[float, Field(ge=0)]
    """Weight of the divergence between two readings of a row, each with its own dropout (R-Drop); 0 reads it once."""
    training: TrainingParams

    @model_validator(mode="after")
    def _two_readings_differ(self) -> "FinetuneParams":
        if self.consistency and not self.dropout:
            raise ValueError(
                "dropout must be > 0 when consistency has a weight, else both readings are the same, got 0.0"
            )
        return self


class StudentParams(Section):
    """The student: its shape, its vocabulary, its first embeddings."""

    architecture: ArchitectureParams
    """Shape of the student, which may not be wider than the teacher."""
    vocabulary_size: Annotated[int, Field(ge=100)] | None
    """How many of the teacher's WordPiece tokens the student keeps, the most frequent ones; null keeps them all, as
    the losses `hidden_states` and `attentions` need."""
    embeddings: Literal["teacher_svd", "random"]
    """First word embeddings: the teacher's, reduced to the student's width by an SVD, or random ones."""


class LossWeights(Section):
    """The losses that the student is trained with: the weight of each in their sum, 0 for one that is left out."""

    sequences: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the cross-entropy with the text that the teacher writes; of tasks whose answers an encoder-decoder
    writes it is the only loss, and of no other task."""
    soft_labels: Annotated[float, Field(ge=0)]
    """Weight of the KL divergence between the label probabilities of teacher and student."""
    logits: Annotated[float, Field(ge=0)]
    """Weight of the squared difference between the logits of teacher and student."""
    hard_labels: Annotated[float, Field(ge=0)]
    """Weight of the cross-entropy with the true label, or of the squared difference from the true score, for rows that
    have one."""
    hidden_states: Annotated[float, Field(ge=0)]
    """Weight of the squared difference between the hidden states of paired layers."""
    attentions: Annotated[float, Field(ge=0)]
    """Weight of the squared difference between the attention scores of paired layers."""


class DistillParams(Section):
    """The student's training, on the labelled rows and the transfer set."""

    losses: LossWeights
    temperature: Annotated[float, Field(gt=0)]
    """Divides the logits before `soft_labels` compares the probabilities, which softens these; 1 changes nothing."""
    layer_map: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
    """Pairs [student layer, teacher layer] for `hidden_states` and `attentions`; layer 0 is the embeddings."""
    labelled_weight: Annotated[float, Field(gt=0)]
    """Weight of a labelled row in the loss; an unlabelled one weighs 1."""
    likeliest: Annotated[int, Field(ge=1)] | None = None
    """How many of the likeliest next tokens `soft_labels` tells apart, all others together being one more class; for
    `text_generation` only."""
    training: TrainingParams

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> "DistillParams":
        if not any(self.losses.model_dump().values()):
            raise ValueError("losses: at least one weight must be > 0, got all 0")
        if (self.losses.hidden_states or self.losses.attentions) and not self.layer_map:
            raise ValueError("layer_map must pair layers when hidden_states or attentions have a weight, got []")
        return self


class TaskParams(Section):
    """One task: a teacher, a student, a registered model."""

    type: Literal[
        "text_classification",
        "token_classification",
        "question_answering",
        "sentence_similarity",
        "text_generation",
        "translation",
        "summarization",
    ]
    """Kind of task: one label for a whole text (or a pair of texts), labelled spans in it, the place in it that answers
    a question (the dataset's column `pair`), how alike two texts are, going on with a text, token by token, or writing
    another text for it: the same in another language, or a shorter one."""
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
    evaluate: EvaluateParams
    gate: GateParams

    @model_validator(mode="after")
    def _figures_and_slices_are_those_of_the_type(self) -> "TaskParams":
        kind = TASK_TYPES[self.type]
        for key, chosen, known in (
            ("gate.metric", [self.gate.metric], kind.metrics),
            ("evaluate.slices", self.evaluate.slices, kind.slices),
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
        written = self.type in WRITTEN_BY_ENCODER_DECODERS
        for name, weight in self.distill.losses.model_dump().items():
            if written and (name == "sequences") != bool(weight):
                wanted = "> 0" if name == "sequences" else "0"
                raise ValueError(f"distill.losses.{name} must be {wanted} for {self.type}, got {weight}")
        if not written and self.distill.losses.sequences:
            raise ValueError(f"distill.losses.sequences must be 0 for {self.type}, got {self.distill.losses.sequences}")
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
        losses = self.distill.losses
        if self.type != "text_classification":
            if self.evaluate.identity_groups:
                groups = self.evaluate.identity_groups
                raise ValueError(f"evaluate.identity_groups: must be [] for {self.type}, got {groups}")
            for name, value in self.mitigation.model_dump().items():
                if value:
                    raise ValueError(f"mitigation.{name}: must be false for {self.type}, got true")
        if self.gate.max_flip_rate is not None and not self.evaluate.identity_groups:
            raise ValueError("gate.max_flip_rate: must be null when evaluate.identity_groups is []")
        if (self.mitigation.rows or self.mitigation.transfer) and (losses.hidden_states or losses.attentions):
            raise ValueError(
                "mitigation: must be false when hidden_states or attentions have a weight: teacher and student read "
                "different tokens"
            )
        return self
