"""params.yaml as a whole, and what no single section can see."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.datasets import DatasetParams
from pipeline.params.families import FROM_A_STREAM, MASKED, OBJECTIVES, TOKENIZERS, WITH_WHOLE_WORDS
from pipeline.params.fit import TeacherShape, misfits
from pipeline.params.lessons import misfits_of_first_training, misplaced_losses
from pipeline.params.pretraining import (
    CorpusParams,
    HubWeights,
    LocalWeights,
    PackageWeights,
    PretrainParams,
    RandomWeights,
    TokenizerParams,
)
from pipeline.params.section import Name, Section
from pipeline.params.task_types import TASK_TYPES, WRITTEN_FOR_TEXTS
from pipeline.params.tasks import TaskParams
from pipeline.params.training import ArchitectureParams, RuntimeParams


class Params(Section):
    """The whole of params.yaml."""

    runtime: RuntimeParams
    datasets: Annotated[dict[Name, DatasetParams], Field(min_length=1)]
    """The sources of rows: labelled ones for tasks, raw text for the corpus."""
    init_from: Annotated[PackageWeights | LocalWeights | HubWeights | RandomWeights, Field(discriminator="kind")]
    """The weights that the language model starts from."""
    corpus: CorpusParams
    tokenizer: TokenizerParams
    pretrain: PretrainParams
    tasks: Annotated[dict[Name, TaskParams], Field(min_length=1)]
    """What the language model is made to do: each task has a teacher, a student and a registered model."""
    engine: Literal["local", "ray"] = "local"
    """Where parts of the data are worked on: one after another in this process, or by Ray on all cores of a cluster,
    the one at RAY_ADDRESS or this machine's own. Results have the same bytes, so a change makes no stage run again."""

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
        for key in ("architecture", "embeddings"):
            if getattr(params.pretrain, key) is None:
                problems.append(f"pretrain.{key}: must be given when init_from.kind is random, got null")
        if params.tokenizer.kind == "adopt":
            problems.append("tokenizer.kind: must be wordpiece or bpe when init_from.kind is random, got adopt")
        shape = params.pretrain.architecture
        if params.pretrain.max_tokens == 0 and not (shape and shape.family == "encoder_decoder"):
            problems.append(
                "pretrain.max_tokens: must be > 0 when init_from.kind is random, but for encoder_decoder, got 0"
            )
    else:
        if params.pretrain.architecture is not None:
            problems.append("pretrain.architecture: must be null when init_from brings its own, got a mapping")
        if params.pretrain.embeddings is not None:
            problems.append(
                f"pretrain.embeddings: must be null when init_from brings its own, got {params.pretrain.embeddings}"
            )
        if params.tokenizer.kind != "adopt":
            problems.append(f"tokenizer.kind: must be adopt when init_from brings weights, got {params.tokenizer.kind}")
    problems += _pretraining_disagreements(params.pretrain, params.tokenizer)
    if params.pretrain.architecture is not None and not params.pretrain.architecture.dropout:
        corpus = params.datasets.get(params.corpus.dataset)
        if params.pretrain.objective == "contrastive" and corpus is not None and corpus.columns.pair is None:
            problems.append(
                "pretrain.architecture.dropout: must be > 0 for contrastive, else both readings of a sentence are the "
                "same, got 0.0"
            )
    if params.pretrain.objective == "contrastive" and params.runtime.distributed != "none":
        # a share of a batch has fewer others to be told from: another loss
        problems.append(f"runtime.distributed: must be none for contrastive, got {params.runtime.distributed}")
    if params.corpus.shards is not None:
        problems += _shards_disagreements(params)
    for name, task in params.tasks.items():
        problems += _task_disagreements(f"tasks.{name}", task, params)
    return problems


def _pretraining_disagreements(pretrain: PretrainParams, tokenizer: TokenizerParams) -> list[str]:
    problems = []
    if pretrain.architecture is not None:
        family = pretrain.architecture.family
        if not OBJECTIVES[family]:
            able = " or ".join(name for name, fitting in OBJECTIVES.items() if fitting)
            return [f"pretrain.architecture.family: must be {able}, which can be language models, got {family}"]
        for key, found, fitting in (
            ("pretrain.objective", pretrain.objective, OBJECTIVES[family]),
            ("tokenizer.kind", tokenizer.kind, TOKENIZERS[family]),
        ):
            if found not in fitting:
                problems.append(f"{key}: must be {' or '.join(fitting)} for family {family}, got {found}")
    beside = pretrain.contrastive is not None and pretrain.contrastive.masked_lm > 0
    for key, needed in (
        ("contrastive", pretrain.objective == "contrastive"),  # first: what the masks have to be follows from it
        ("mask_share", beside or pretrain.objective in MASKED),
        ("whole_word_mask", beside or pretrain.objective in WITH_WHOLE_WORDS),
        ("across_documents", pretrain.objective == "causal_lm"),
    ):
        value = getattr(pretrain, key)
        if needed and value is None:
            problems.append(f"pretrain.{key}: must be given for {pretrain.objective}, got null")
        if not needed and value is not None:
            problems.append(f"pretrain.{key}: must be null for {pretrain.objective}, got {value}")
    return problems


def _shards_disagreements(params: Params) -> list[str]:
    """Name what would need the whole corpus at once."""
    given, pretrain, problems = "where corpus.shards are given", params.pretrain, []
    if pretrain.objective not in FROM_A_STREAM:
        problems.append(f"pretrain.objective: must be {' or '.join(FROM_A_STREAM)} {given}, got {pretrain.objective}")
    if pretrain.embeddings == "cooccurrence":
        problems.append(f"pretrain.embeddings: must be random {given}, got cooccurrence")
    return problems


def _shapes(key: str, task: TaskParams, params: Params) -> dict[str, ArchitectureParams]:
    """Return the shapes of the models behind a task that params.yaml states, by where it does."""
    student, pretrained = task.student.architecture, params.pretrain.architecture
    return {f"{key}.student.architecture": student} | ({"pretrain.architecture": pretrained} if pretrained else {})


def _family_disagreements(key: str, task: TaskParams, params: Params) -> list[str]:
    problems = []
    for place, shape in _shapes(key, task, params).items():
        fitting = TASK_TYPES[task.type].families
        if shape.family not in fitting:
            problems.append(f"{place}.family: must be {' or '.join(fitting)} for {task.type}, got {shape.family}")
    if params.tokenizer.kind == "bpe" and task.student.vocabulary_size is not None:
        problems.append(
            f"{key}.student.vocabulary_size: must be null (the teacher's tokens) when tokenizer.kind is bpe, "
            f"got {task.student.vocabulary_size}"
        )
    return problems


def _writing_disagreements(key: str, task: TaskParams, params: Params) -> list[str]:
    """Name what does not fit a task that writes a text for another: the student reads the teacher's texts."""
    problems = []
    if task.finetune.consistency:
        problems.append(f"{key}.finetune.consistency: must be 0 for {task.type}, got {task.finetune.consistency}")
    if task.student.vocabulary_size is not None:
        problems.append(
            f"{key}.student.vocabulary_size: must be null (the teacher's tokens) for {task.type}, "
            f"got {task.student.vocabulary_size}"
        )
    assert task.generation is not None  # pipeline.params refuses null for a task that writes
    room = {"generation.max_tokens": task.generation.max_tokens}
    for place, shape in _shapes(key, task, params).items():
        # a decoder alone has what is read and what is written before it at once
        needed = room if shape.family == "encoder_decoder" else {"max_length": task.max_length} | room
        if shape.max_length < sum(needed.values()):
            problems.append(
                f"{place}.max_length: must be >= {' + '.join(f'{key}.{name}' for name in needed)} "
                f"({sum(needed.values())}), got {shape.max_length}"
            )
    return problems


def _pair_disagreements(key: str, task: TaskParams) -> list[str]:
    kind = TASK_TYPES[task.type]
    if "pair" not in kind.columns + kind.optional:
        return [f"datasets.{task.dataset}.columns.pair: must be null for {key}, a {task.type}, got a column"]
    by_terms = task.mitigation.model_dump(exclude={"reweight_by_column"})
    changed = [f"mitigation.{name}" for name, value in by_terms.items() if value]
    changed += ["evaluate.identity_groups"] if task.evaluate.identity_groups else []
    if changed:
        return [f"{key}.{changed[0]}: must be off where datasets.{task.dataset}.columns.pair is given"]
    # sentences of a corpus are no pairs, and the teacher says nothing of one alone
    return [
        f"{key}.transfer.{name}: must be 0 where datasets.{task.dataset}.columns.pair is given, got {count}"
        for name, count in task.transfer.made.items()
        if count
    ]


def _marker_disagreements(key: str, task: TaskParams, params: Params) -> list[str]:
    markers, place = params.datasets[task.dataset].markers, f"datasets.{task.dataset}.markers"
    problems = [
        f"{place}: must be among tokenizer.markers {params.tokenizer.markers}, got {marker}"
        for marker in markers
        if marker not in params.tokenizer.markers
    ]
    # sentences of a corpus, and pieces of rows, have none
    return problems + [
        f"{key}.transfer.{name}: must be 0 where {place} are given, got {count}"
        for name, count in task.transfer.made.items()
        if markers and count
    ]


def _column_disagreements(key: str, task: TaskParams, dataset: DatasetParams) -> list[str]:
    """Name further columns that rows were to be grouped by and do not keep."""
    kept = dataset.columns.metadata
    place, known = f"datasets.{task.dataset}.columns.metadata {kept}", ", ".join(TASK_TYPES[task.type].slices)
    problems = [
        f"{key}.evaluate.slices: must be of {known} and {place}, got {column}"
        for column in task.evaluate.columns
        if column not in kept
    ]
    column = task.mitigation.reweight_by_column
    if column is not None and column not in kept:
        problems.append(f"{key}.mitigation.reweight_by_column: must be of {place}, got {column}")
    return problems


def _task_disagreements(key: str, task: TaskParams, params: Params) -> list[str]:
    problems = []
    dataset = params.datasets.get(task.dataset)
    if dataset is None:
        return [f"{key}.dataset: must be one of {sorted(params.datasets)}, got {task.dataset}"]
    if dataset.columns.pair is not None:
        problems += _pair_disagreements(key, task)
    if task.labels and set((dataset.labels or {}).values()) != set(task.labels):
        found = None if dataset.labels is None else sorted(set(dataset.labels.values()))
        problems.append(f"{key}.labels: must be the labels of datasets.{task.dataset} ({found}), got {task.labels}")
    problems += _column_disagreements(key, task, dataset)
    problems += _family_disagreements(key, task, params)
    problems += _marker_disagreements(key, task, params)
    if task.type == "text_generation" and dataset.columns.target is not None and task.transfer.sentences:
        problems.append(
            f"{key}.transfer.sentences: must be 0 where datasets.{task.dataset}.columns.target is given, got "
            f"{task.transfer.sentences}"
        )
    if task.transfer.replaced and params.pretrain.objective not in WITH_WHOLE_WORDS:
        problems.append(
            f"{key}.transfer.replaced: must be 0 where pretrain.objective is none of {', '.join(WITH_WHOLE_WORDS)}, "
            f"got {task.transfer.replaced}"
        )
    for column in TASK_TYPES[task.type].columns:
        if getattr(dataset.columns, column) is None:
            problems.append(
                f"datasets.{task.dataset}.columns.{column}: must be given for {key}, a {task.type}, got null"
            )
    student, teacher = task.student.architecture, params.pretrain.architecture
    problems += misplaced_losses(key, task, params.runtime.distributed)
    problems += misfits_of_first_training(key, task, params.pretrain.objective, params.corpus.sequence_length)
    if teacher:
        problems += misfits(key, task, TeacherShape.from_params(teacher))
    if task.type in WRITTEN_FOR_TEXTS:
        problems += _writing_disagreements(key, task, params)
    if student.max_length < task.max_length:
        problems.append(
            f"{key}.student.architecture.max_length: must be >= {key}.max_length ({task.max_length}), "
            f"got {student.max_length}"
        )
    return problems
