"""A typed, frozen view of params.yaml: every key stands there, every mistake is named by its full path.

No torch here: validating the parameters of a run has to be instant.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.files import InputError

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Label = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    """A mapping of params.yaml: frozen, no unknown keys, numbers are numbers and text is text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class RuntimeParams(Section):
    """What the bits of a result depend on besides data and hyperparameters."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    threads: Annotated[int, Field(ge=1)]
    precision: Literal["auto", "float32", "bfloat16"]


# --- where rows and weights come from -------------------------------------------------------------------------------


class PackageSource(Section):
    """A file inside an installed Python package."""

    kind: Literal["package"]
    package: str
    file: str
    format: Literal["csv", "tsv", "jsonl", "parquet", "text"]
    sha256: Sha256


class LocalSource(Section):
    """A file under data/raw/, the dataset's `path`."""

    kind: Literal["file"]
    format: Literal["csv", "tsv", "jsonl", "parquet", "text"]


class HubSource(Section):
    """A dataset on the Hugging Face hub at a pinned revision."""

    kind: Literal["hub"]
    name: str
    configuration: str | None
    split: str
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class PackageWeights(Section):
    """A model folder inside an installed Python package."""

    kind: Literal["package"]
    path: str
    package: str
    folder: str
    sha256: Sha256


class LocalWeights(Section):
    """A model folder of the project."""

    kind: Literal["folder"]
    path: str


class HubWeights(Section):
    """A model on the Hugging Face hub at a pinned revision."""

    kind: Literal["hub"]
    path: str
    name: str
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class RandomWeights(Section):
    """No weights: pretraining starts from random ones of `pretrain.architecture`."""

    kind: Literal["random"]
    path: str


# --- datasets --------------------------------------------------------------------------------------------------------


class ColumnsParams(Section):
    """Which columns of the source hold what; `label` and `source` may be null."""

    text: str
    label: str | None
    source: str | None


class SplitParams(Section):
    """Shares of rows that go to dev and test, by content hash of the near-duplicate group; the rest is train."""

    dev: Share
    test: Share

    @model_validator(mode="after")
    def _train_is_left(self) -> "SplitParams":
        if self.dev + self.test >= 1:
            raise ValueError(f"dev + test must leave rows for train, got {self.dev} + {self.test}")
        return self


class DecontaminationParams(Section):
    """When a training row counts as seen: shared letters for containment, Jaccard for similarity (MinHash)."""

    min_letters: Annotated[int, Field(ge=8)]
    similarity: Annotated[float, Field(gt=0, le=1)]
    shingle_words: Annotated[int, Field(ge=1)]
    permutations: Annotated[int, Field(ge=16, le=512)]


class ValidationParams(Section):
    """The checks of a dataset and what happens to the rows that fail them.

    max_damaged_share and min_letter_share are shares of one row's characters, min_label_share and
    max_quarantined_share shares of all rows.
    """

    policy: Literal["fail", "quarantine"]
    max_quarantined_share: Share
    min_characters: Annotated[int, Field(ge=1)]
    max_characters: Annotated[int, Field(ge=1)]
    min_label_share: Share
    max_damaged_share: Share
    min_letter_share: Share


class DatasetParams(Section):
    """One source of rows: read, cleaned, split, decontaminated, checked."""

    path: str
    held_out: Name
    source: Annotated[PackageSource | LocalSource | HubSource, Field(discriminator="kind")]
    columns: ColumnsParams
    only_sources: list[str] | None
    labels: dict[str, Label] | None
    split: SplitParams
    decontamination: DecontaminationParams
    validation: ValidationParams
    max_rows: Annotated[int, Field(ge=1)] | None

    @model_validator(mode="after")
    def _labels_have_a_column(self) -> "DatasetParams":
        if self.labels is not None and self.columns.label is None:
            raise ValueError("labels are given, but columns.label is null")
        if self.labels is not None and len(set(self.labels.values())) < 2:
            raise ValueError(f"labels must name at least 2 classes, got {sorted(set(self.labels.values()))}")
        return self


# --- tokenizer and pretraining ----------------------------------------------------------------------------------------


class TokenizerParams(Section):
    """Train a tokenizer on the corpus, or adopt the one of `init_from`."""

    kind: Literal["adopt", "wordpiece", "bpe"]
    vocabulary_size: Annotated[int, Field(ge=100)] | None
    lowercase: bool | None
    min_frequency: Annotated[int, Field(ge=1)] | None

    @model_validator(mode="after")
    def _trained_ones_need_a_size(self) -> "TokenizerParams":
        values = (self.vocabulary_size, self.lowercase, self.min_frequency)
        if self.kind == "adopt" and any(value is not None for value in values):
            raise ValueError("vocabulary_size, lowercase and min_frequency must be null for kind adopt")
        if self.kind != "adopt" and any(value is None for value in values):
            raise ValueError(f"vocabulary_size, lowercase and min_frequency are needed for kind {self.kind}, got null")
        return self


class CorpusParams(Section):
    """The raw text: which dataset, and how it is packed."""

    dataset: Name
    sequence_length: Annotated[int, Field(ge=16)]


class ArchitectureParams(Section):
    """The shape of a model. Source: Devlin et al. 2019, table of sizes in section 3."""

    family: Literal["bert"]
    layers: Annotated[int, Field(ge=1)]
    hidden_size: Annotated[int, Field(ge=8)]
    attention_heads: Annotated[int, Field(ge=1)]
    intermediate_size: Annotated[int, Field(ge=8)]
    max_length: Annotated[int, Field(ge=16)]
    dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "ArchitectureParams":
        if self.hidden_size % self.attention_heads:
            raise ValueError(
                f"attention_heads must divide hidden_size, got {self.attention_heads} heads, width {self.hidden_size}"
            )
        return self


class OptimizationParams(Section):
    """How weights move (AdamW, a warmed-up schedule, clipped gradients), and how often dev is read.

    `embeddings_rate` times `learning_rate` is the rate of the word embeddings; 0 leaves them as they are.
    """

    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    embeddings_rate: Share
    schedule: Literal["linear", "cosine", "constant"]
    warmup_share: Share
    weight_decay: Annotated[float, Field(ge=0)]
    max_gradient_norm: Annotated[float, Field(gt=0)]
    evaluations: Annotated[int, Field(ge=1)]
    checkpoint_minutes: Annotated[float, Field(gt=0)]


class TrainingParams(OptimizationParams):
    """A run over labelled rows, `epochs` times; stops early after `patience` evaluations without a better dev score."""

    epochs: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)] | None


class PretrainParams(Section):
    """Masked LM with dynamic masking, with or without next-sentence prediction, over `max_tokens` corpus tokens."""

    architecture: ArchitectureParams | None
    objective: Literal["masked_lm", "masked_lm_next_sentence"]
    mask_share: Annotated[float, Field(gt=0, lt=1)]
    whole_word_mask: bool
    max_tokens: Annotated[int, Field(ge=0)]
    training: OptimizationParams


# --- tasks -----------------------------------------------------------------------------------------------------------


class TransferParams(Section):
    """Unlabelled texts that the teacher labels for the student.

    `sentences` of the corpus, a fair sample of them (`selection: uniform`) or one that leans towards the task's rows
    (`importance`), and `recombined` texts made of pieces of the training rows.
    """

    sentences: Annotated[int, Field(ge=0)]
    min_words: Annotated[int, Field(ge=1)]
    max_words: Annotated[int, Field(ge=1)]
    selection: Literal["uniform", "importance"]
    recombined: Annotated[int, Field(ge=0)]


class FinetuneParams(Section):
    """The teacher."""

    dropout: Annotated[float, Field(ge=0, lt=1)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    training: TrainingParams


class StudentParams(Section):
    """The student's shape. `vocabulary_size` null keeps the teacher's tokenizer."""

    architecture: ArchitectureParams
    vocabulary_size: Annotated[int, Field(ge=100)] | None
    embeddings: Literal["teacher_svd", "random"]


class LossWeights(Section):
    """Weight of each loss in the sum; 0 leaves it out."""

    soft_labels: Annotated[float, Field(ge=0)]
    logits: Annotated[float, Field(ge=0)]
    hard_labels: Annotated[float, Field(ge=0)]
    hidden_states: Annotated[float, Field(ge=0)]
    attentions: Annotated[float, Field(ge=0)]


class DistillParams(Section):
    """The student's training. `layer_map` pairs student layers (from 0, embeddings) with teacher layers."""

    losses: LossWeights
    temperature: Annotated[float, Field(gt=0)]
    layer_map: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
    labelled_weight: Annotated[float, Field(gt=0)]
    training: TrainingParams

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> "DistillParams":
        if not any(self.losses.model_dump().values()):
            raise ValueError("losses: at least one weight must be > 0, got all 0")
        if (self.losses.hidden_states or self.losses.attentions) and not self.layer_map:
            raise ValueError("layer_map must pair layers when hidden_states or attentions have a weight, got []")
        return self


class EvaluateParams(Section):
    """How the test split is read."""

    bootstrap_samples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    calibration_bins: Annotated[int, Field(ge=2)]
    slices: list[Literal["source", "label", "length"]]


class GateParams(Section):
    """When a candidate becomes @champion."""

    rule: Literal["not_worse", "better"]
    margin: Share
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    min_rows: Annotated[int, Field(ge=1)]
    max_bytes: Annotated[int, Field(ge=1)] | None
    max_latency_milliseconds: Annotated[float, Field(gt=0)] | None


class TaskParams(Section):
    """One task: a teacher, a student, a registered model."""

    type: Literal["text_classification"]
    dataset: Name
    labels: Annotated[list[Label], Field(min_length=2)]
    max_length: Annotated[int, Field(ge=8)]
    transfer: TransferParams
    finetune: FinetuneParams
    student: StudentParams
    distill: DistillParams
    evaluate: EvaluateParams
    gate: GateParams


class Params(Section):
    """The whole of params.yaml."""

    runtime: RuntimeParams
    datasets: Annotated[dict[Name, DatasetParams], Field(min_length=1)]
    init_from: Annotated[PackageWeights | LocalWeights | HubWeights | RandomWeights, Field(discriminator="kind")]
    corpus: CorpusParams
    tokenizer: TokenizerParams
    pretrain: PretrainParams
    tasks: Annotated[dict[Name, TaskParams], Field(min_length=1)]

    @model_validator(mode="after")
    def _sections_agree(self) -> "Params":
        for problem in _disagreements(self):
            raise ValueError(problem)
        return self


def _disagreements(params: Params) -> list[str]:
    """Name what no single section can see: a reference that points nowhere, a student wider than its teacher."""
    problems = []
    if params.corpus.dataset not in params.datasets:
        problems.append(f"corpus.dataset: must be one of {sorted(params.datasets)}, got {params.corpus.dataset}")
    for name, dataset in params.datasets.items():
        if dataset.held_out != "none" and dataset.held_out not in params.datasets:
            problems.append(f"datasets.{name}.held_out: must be none or a dataset, got {dataset.held_out}")
    if params.init_from.kind == "random":
        if params.pretrain.architecture is None:
            problems.append("pretrain.architecture: must be given when init_from.kind is random, got null")
        if params.tokenizer.kind == "adopt":
            problems.append("tokenizer.kind: must be wordpiece or bpe when init_from.kind is random, got adopt")
        if params.pretrain.max_tokens == 0:
            problems.append("pretrain.max_tokens: must be > 0 when init_from.kind is random, got 0")
    else:
        if params.pretrain.architecture is not None:
            problems.append("pretrain.architecture: must be null when init_from brings its own, got a mapping")
        if params.tokenizer.kind != "adopt":
            problems.append(f"tokenizer.kind: must be adopt when init_from brings weights, got {params.tokenizer.kind}")
    for name, task in params.tasks.items():
        problems += _task_disagreements(f"tasks.{name}", task, params)
    return problems


def _task_disagreements(key: str, task: TaskParams, params: Params) -> list[str]:
    problems = []
    dataset = params.datasets.get(task.dataset)
    if dataset is None:
        return [f"{key}.dataset: must be one of {sorted(params.datasets)}, got {task.dataset}"]
    if dataset.labels is None or set(dataset.labels.values()) != set(task.labels):
        found = None if dataset.labels is None else sorted(set(dataset.labels.values()))
        problems.append(f"{key}.labels: must be the labels of datasets.{task.dataset} ({found}), got {task.labels}")
    student, teacher, losses = task.student.architecture, params.pretrain.architecture, task.distill.losses
    if teacher and student.hidden_size > teacher.hidden_size:
        problems.append(
            f"{key}.student.architecture.hidden_size: must be <= {teacher.hidden_size}, the teacher's, "
            f"got {student.hidden_size}"
        )
    if (losses.hidden_states or losses.attentions) and task.student.vocabulary_size is not None:
        problems.append(
            f"{key}.student.vocabulary_size: must be null (the teacher's tokens) when hidden_states or attentions "
            f"have a weight, got {task.student.vocabulary_size}"
        )
    if student.max_length < task.max_length:
        problems.append(
            f"{key}.student.architecture.max_length: must be >= {key}.max_length ({task.max_length}), "
            f"got {student.max_length}"
        )
    return problems


# --- reading ---------------------------------------------------------------------------------------------------------


def load_params(path: Path) -> Params:
    """Read and check params.yaml as DVC reads it (YAML 1.2: `5e-4` is a number).

    Raises InputError naming the key's full path, what was found and what was expected.
    """
    return check_params(read_yaml(path), path)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a YAML 1.2 file as plain dicts and lists; raise InputError where it is missing, broken or no mapping."""
    try:
        value = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected the parameters of the run") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: must be a mapping of sections, got {type(value).__name__}")
    return value


def check_params(values: dict[str, Any], path: Path) -> Params:
    """Return the typed view of parameters read from `path`; raise InputError naming the first wrong key."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {_one_line(error)}") from None


_UNION_TAGS = {"package", "file", "hub", "folder", "random"}


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    # pydantic puts the chosen variant of a union into the path; params.yaml has no such level
    path = first["loc"]
    variants = {i for i in range(1, len(path)) if path[i - 1] in ("source", "init_from") and path[i] in _UNION_TAGS}
    keys = [str(part) for i, part in enumerate(path) if i not in variants]
    place = ".".join(keys)
    reason = {
        "extra_forbidden": "unknown key, expected one the schema names",
        "missing": "missing key, expected it to be given",
    }.get(first["type"], first["msg"].removeprefix("Value error, ").replace("Input should be", "must be"))
    reason = reason.replace("greater than or equal to", ">=").replace("less than or equal to", "<=")
    reason = reason.replace("greater than", ">").replace("less than", "<")
    if first["type"] in ("missing", "value_error"):
        return f"{place}: {reason}" if place else reason
    return f"{place}: {reason}, got {first['input']!r}"
