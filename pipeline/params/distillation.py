"""The sections `tasks.NAME.student` and `tasks.NAME.distill`: the student, and what it learns from its teacher."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.section import Section
from pipeline.params.task_types import OF_LAYER_MAP, OF_RELATION_MAP, RELATIONS
from pipeline.params.training import ArchitectureParams, TrainingParams


class LossWeights(Section):
    """The losses that the student is trained with: the weight of each in their sum, 0 for one that is left out."""

    sequences: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the cross-entropy with the text that the teacher writes; of tasks that write a text for another it is
    the only loss, and of no other task."""
    soft_labels: Annotated[float, Field(ge=0)]
    """Weight of the KL divergence of the student's label probabilities from the teacher's."""
    reverse_kl: Annotated[float, Field(ge=0)]
    """Weight of the KL divergence the other way round, of the teacher's from the student's: the student keeps to what
    the teacher finds likely."""
    jensen_shannon: Annotated[float, Field(ge=0)]
    """Weight of the Jensen-Shannon divergence between the label probabilities, which lies between the two others."""
    logits: Annotated[float, Field(ge=0)]
    """Weight of the squared difference between the logits of teacher and student."""
    hard_labels: Annotated[float, Field(ge=0)]
    """Weight of the cross-entropy with the true label, or of the squared difference from the true score, for rows that
    have one."""
    hidden_states: Annotated[float, Field(ge=0)]
    """Weight of the squared difference between the hidden states of paired layers, the student's projected to the
    teacher's width (TinyBERT)."""
    hidden_cosines: Annotated[float, Field(ge=0)]
    """Weight of one minus the cosine between the hidden states of paired layers (DistilBERT), the student's projected
    where it is narrower than the teacher."""
    attentions: Annotated[float, Field(ge=0)]
    """Weight of the squared difference between the attention scores of paired layers (TinyBERT)."""
    attention_distributions: Annotated[float, Field(ge=0)]
    """Weight of the KL divergence between the attention distributions of the layers in `relation_map` (MiniLM)."""
    query_relations: Annotated[float, Field(ge=0)]
    """Weight of the KL divergence between how alike the queries of a row's tokens are (MiniLM v2)."""
    key_relations: Annotated[float, Field(ge=0)]
    """The same of the keys (MiniLM v2)."""
    value_relations: Annotated[float, Field(ge=0)]
    """The same of the values (MiniLM v2, and with as many relation heads as attention heads MiniLM)."""


LayerPairs = list[Annotated[list[int], Field(min_length=2, max_length=2)]]


class LessonParams(Section):
    """What a student learns from a teacher by, whatever rows the teacher reads."""

    losses: LossWeights
    temperature: Annotated[float, Field(gt=0)]
    """Divides the logits before `soft_labels`, `reverse_kl` and `jensen_shannon` compare the probabilities, which
    softens these; 1 changes nothing."""
    jensen_shannon_share: Annotated[float, Field(gt=0, lt=1)] | None
    """Share of the teacher in the mixture that `jensen_shannon` holds both against: 0.5 is the divergence of that name,
    towards 0 it comes to behave like `soft_labels`, towards 1 like `reverse_kl`; null where it has no weight."""
    layer_map: LayerPairs
    """Pairs [student layer, teacher layer] for `hidden_states`, `hidden_cosines` and `attentions`; layer 0 is the
    embeddings."""
    relation_map: LayerPairs
    """Pairs [student layer, teacher layer] for `attention_distributions` and the relations: MiniLM takes the last of
    each, MiniLM v2 an upper one of a large teacher."""
    relation_heads: Annotated[int, Field(ge=1)] | None
    """Number of heads that queries, keys and values are cut into for the relations; it divides the widths of teacher
    and student, and null where no relation has a weight."""

    @model_validator(mode="after")
    def _losses_have_what_they_read(self) -> Self:
        for key, missing, readers in (
            ("layer_map must pair layers", not self.layer_map, OF_LAYER_MAP),
            ("relation_map must pair layers", not self.relation_map, OF_RELATION_MAP),
            ("relation_heads must be given", self.relation_heads is None, RELATIONS),
            ("jensen_shannon_share must be given", self.jensen_shannon_share is None, ("jensen_shannon",)),
        ):
            for loss in readers:
                if missing and getattr(self.losses, loss):
                    raise ValueError(f"{key} when losses.{loss} has a weight, got none")
        return self


class DistillPretrainedParams(LessonParams):
    """The student's first training, before it has a task: it learns from the language model to read the corpus.

    Both predict the tokens that are masked for `masked_lm`, as `pretrain` has it, the masks being drawn once. Of the
    losses `sequences` and `logits` are none of these. What the language model says of a token is worth something where
    its masked-LM head was trained: weights without one have a new one, and layers alone to be learnt from.
    """

    labelled_weight: ClassVar[float] = 1.0  # every masked token is known
    likeliest: Annotated[int, Field(ge=1)]
    """How many of the likeliest tokens the losses on probabilities tell apart, all others together being one more
    class."""
    max_tokens: Annotated[int, Field(ge=1)]
    """Maximum number of the corpus's tokens to read, from its beginning."""
    training: TrainingParams

    @model_validator(mode="after")
    def _losses_are_those_of_masked_tokens(self) -> "DistillPretrainedParams":
        for loss in ("sequences", "logits"):
            if weight := getattr(self.losses, loss):
                raise ValueError(f"losses.{loss}: must be 0, got {weight}")
        if not any(self.losses.model_dump().values()):
            raise ValueError("losses: one must be > 0, got 0.0")
        return self


class StudentParams(Section):
    """The student: its shape, its vocabulary, its first weights."""

    architecture: ArchitectureParams
    """Shape of the student, which may not be wider than the teacher."""
    vocabulary_size: Annotated[int, Field(ge=100)] | None
    """How many of the teacher's WordPiece tokens the student keeps, the most frequent ones; null keeps them all. A row
    with a word that is spelled in other tokens then has no part in the losses that compare layers."""
    embeddings: Literal["teacher_svd", "teacher", "random"]
    """First word embeddings: the teacher's, reduced to the student's width by an SVD, the teacher's as they are, which
    needs its width, or random ones."""
    layers: Literal["random", "teacher"]
    """First weights of everything else: random ones, or the teacher's, of its layers every k-th; that needs its family
    (`bert`, `roberta`, `gpt` or `llama`), width, heads and feed-forward width, a number of layers that divides the
    teacher's, and `embeddings: teacher`."""
    distill_pretrained: DistillPretrainedParams | None = None
    """The student's first training, by the language model on the corpus; null leaves it out. It needs the objective
    `masked_lm`, a family that can learn by it and all of the teacher's tokens (`vocabulary_size: null`)."""

    @model_validator(mode="after")
    def _layers_read_the_embeddings_that_they_know(self) -> "StudentParams":
        if self.layers == "teacher" and self.embeddings != "teacher":
            raise ValueError(f"embeddings must be teacher when layers is teacher, got {self.embeddings}")
        return self


class DistillParams(LessonParams):
    """The student's training, on the labelled rows and the transfer set."""

    labelled_weight: Annotated[float, Field(gt=0)]
    """Weight of a labelled row in the loss; an unlabelled one weighs 1."""
    likeliest: Annotated[int, Field(ge=1)] | None = None
    """How many of the likeliest next tokens the losses on probabilities tell apart, all others together being one more
    class; for `text_generation` only."""
    online: bool = False
    """Whether the teacher is asked again about each batch, in every pass: the student is the same to the bit, what the
    teacher's layers say needs no room on the disk, and its time is spent once more for each pass. false, the default,
    keeps it on the disk. Not for `sequences`, as texts take next to no room."""
    training: TrainingParams

    @model_validator(mode="after")
    def _texts_are_written_once(self) -> "DistillParams":
        if self.online and self.losses.sequences:
            raise ValueError("online must be false when losses.sequences has a weight, got true")
        return self


AnyLessons = DistillParams | DistillPretrainedParams
