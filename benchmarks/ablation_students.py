"""One student of an ablation, trained by the pipeline's own code, and what the teacher says, which all share."""

import functools
import json
import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ablation_mixtures import BASE, MIXTURES, Mixture

from pipeline.params import Params, TaskParams, check_params, read_yaml

SPLITS = ("train", "dev", "transfer", "held_out")  # the last only where ablation_inputs.py made it
Record = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """The task, the budget (rows of the transfer set, passes over all rows) and the folder of the teacher's outputs."""

    task: str
    rows: int
    epochs: int
    cache: Path

    @property
    def teacher(self) -> Path:
        """The teacher's folder."""
        return Path("models") / self.task / "teacher"

    def tokens(self, side: str, split: str) -> Path:
        """Return the folder of token rows of a split, as the teacher or the student reads them."""
        return Path("data/tokens") / self.task / side / split


def changed(mixture: Mixture, losses: dict[str, float], seed: int, options: Options) -> Params:
    """Return params.yaml with BASE, a mixture's keys and `losses` in the task's section, all others 0, checked."""
    values = read_yaml(Path("params.yaml"))
    section = values["tasks"][options.task]
    _merge(section["student"], BASE)
    _merge(section["student"], mixture.student)
    _merge(section["distill"], mixture.distill)
    section["distill"]["losses"] = dict.fromkeys(section["distill"]["losses"], 0.0) | losses
    section["distill"]["training"] |= {"epochs": options.epochs, "checkpoint_minutes": 60.0}
    values["runtime"] |= {"seed": seed, "threads": 1}
    return check_params(values, Path("params.yaml"))


def _merge(section: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict):
            _merge(section[key], value)
        else:
            section[key] = value


@functools.cache
def read_rows(options: Options, side: str) -> dict[str, Any]:
    """Return the token rows of each split that is there; of train and transfer the first `options.rows`."""
    from pipeline.tokenization.ragged import TokenRows

    found = {}
    for split in SPLITS:
        if split != "held_out" or options.tokens(side, split).exists():
            rows = TokenRows.load(options.tokens(side, split))
            kept = min(len(rows), options.rows) if split in ("train", "transfer") else len(rows)
            ends = rows.offsets[: kept + 1]
            found[split] = TokenRows.one_label_each(rows.ids[: ends[-1]], ends, rows.labels[:kept])
    return found


@functools.cache
def teacher_outputs(options: Options, of_layers: bool) -> dict[str, Any]:
    """Return what the teacher says about each split, with all the states that any mixture needs where `of_layers`."""
    from filelock import FileLock

    from pipeline.architectures.attention import attention_implementation
    from pipeline.distillation.lessons import states_compared
    from pipeline.distillation.teacher_cache import cached_outputs
    from pipeline.files import content_hash
    from pipeline.tasks import TASKS
    from pipeline.training import runtime

    params = changed(MIXTURES[0], MIXTURES[0].losses, 0, options)
    section, dtype = params.tasks[options.task], runtime.prepare(params.runtime)
    head, rows = TASKS[section.type]().from_params(section), read_rows(options, "teacher")
    states = set()
    for mixture in MIXTURES if of_layers else ():
        for losses in filter(None, (mixture.losses, mixture.first)):
            distill = changed(mixture, losses, 0, options).tasks[options.task].distill
            states |= set(states_compared(distill, student=False))
    inputs = {"teacher": content_hash(options.teacher), "rows": str(options.rows)}
    inputs |= {split: content_hash(options.tokens("teacher", split)) for split in rows}

    def outputs() -> dict[str, Any]:
        return cached_outputs(
            rows,
            lambda: head.load(options.teacher, attn_implementation=attention_implementation()),
            folder=options.cache,
            inputs=inputs,
            states=sorted(states),
            dtype=dtype,
        )

    options.cache.mkdir(parents=True, exist_ok=True)
    made = options.cache / f"{options.task}-{options.rows}-{'layers' if of_layers else 'answers'}.made"
    with FileLock(made.with_suffix(".lock")):  # one process runs the teacher; to check its hashes none waits
        if not made.exists():
            found = outputs()
            made.touch()
            return found
    return outputs()


def learn(mixture: Mixture, seed: int, options: Options) -> Record:
    """Train one student; return its line: what it was, its budget and its logits of every row held out."""
    import numpy as np
    import torch

    from pipeline.architectures.shape import shape_of
    from pipeline.distillation.student import check_shapes
    from pipeline.tokenization.folder import load_tokenizer, special_ids
    from pipeline.training import runtime
    from pipeline.training.prediction import predict_logits

    params = changed(mixture, mixture.losses, seed, options)
    section = params.tasks[options.task]
    runtime.prepare(params.runtime)
    if mixture.teacher:
        teacher_outputs(options, mixture.of_layers)  # seconds are the student's alone
    started = time.perf_counter()
    check_shapes(options.task, section, shape_of(options.teacher))
    whole = section.student.vocabulary_size is None
    rows = read_rows(options, "teacher" if whole else "student")
    vocabulary = Path("models/tokenizer") if whole else options.teacher.parent / "student_tokenizer"
    tokenizer, special_tokens = load_tokenizer(vocabulary)
    teacher_ids = np.arange(tokenizer.get_vocab_size()) if whole else np.load(vocabulary / "teacher_ids.npy")
    pad_token_id = special_ids(tokenizer, special_tokens)["pad_token_id"]
    with tempfile.TemporaryDirectory() as work:
        student = _trained(mixture, seed, options, rows, teacher_ids, pad_token_id, Path(work))
    read = {"batch_size": 128, "pad_token_id": pad_token_id, "dtype": torch.float32}
    taught = len(rows["train"]) + len(rows["transfer"])
    return {
        "mixture": mixture.name,
        "seed": seed,
        **budget(options),
        "steps": options.epochs * math.ceil(taught / section.distill.training.batch_size),
        "parameters": sum(parameter.numel() for parameter in student.parameters()),
        "device": runtime.fingerprint()["device"],
        "seconds": round(time.perf_counter() - started, 1),
        "logits": {split: _rounded(predict_logits(student, rows[split], **read)) for split in held_out(rows)},
    }


def _trained(
    mixture: Mixture,
    seed: int,
    options: Options,
    rows: dict[str, Any],
    teacher_ids: Any,
    pad_token_id: int,
    work: Path,
) -> Any:
    """Return the student of a mixture; `work` is an empty folder."""
    import numpy as np

    from pipeline.distillation.course import Course
    from pipeline.distillation.lessons import states_compared
    from pipeline.tasks import TASKS
    from pipeline.training import runtime

    def course(section: TaskParams, place: str) -> Course:
        head, dtype = TASKS[section.type]().from_params(section), runtime.autocast_dtype(params.runtime)
        ids, folder = teacher_ids, work / place
        its, silent = read_rows(options, "teacher"), lambda _: None
        return Course(section, params.runtime, head, head.names, rows, its, ids, pad_token_id, dtype, folder, silent)

    def said(section: TaskParams) -> dict[str, Any]:
        needed = states_compared(section.distill, student=False)
        found = teacher_outputs(options, bool(needed))
        return {split: replace(of, states={state: of.states[state] for state in needed}) for split, of in found.items()}

    params = changed(mixture, mixture.losses, seed, options)
    section, width = params.tasks[options.task], _width(options.teacher)
    if not mixture.teacher:
        return course(section, "student").undistilled()[0]
    start = options.teacher
    if mixture.first:
        half = replace(options, epochs=options.epochs // 2)
        first = changed(mixture, mixture.first, seed, half).tasks[options.task]
        # the last state: nothing on dev tells how well layers are learnt
        first = _with_training(first, epochs=half.epochs, evaluations=1)
        begun, _ = course(first, "first").distilled(said(first), start, width)
        start = work / "begun"
        begun.save_pretrained(start)
        # what starts from the layers of a teacher of its own shape is that teacher
        same = section.student.model_copy(update={"embeddings": "teacher", "layers": "teacher"})
        section = _with_training(section, epochs=options.epochs - half.epochs).model_copy(update={"student": same})
        teacher_ids = np.arange(len(teacher_ids))  # its words are the student's own
    return course(section, "student").distilled(said(section), start, width)[0]


def _with_training(section: TaskParams, **keys: Any) -> TaskParams:
    training = section.distill.training.model_copy(update=keys)
    return section.model_copy(update={"distill": section.distill.model_copy(update={"training": training})})


def _width(folder: Path) -> int:
    return int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"])


def _rounded(logits: Any) -> list[list[float]]:
    return [[round(float(value), 5) for value in row] for row in logits]


def held_out(rows: dict[str, Any]) -> list[str]:
    """Return the splits that no student learns from, dev first."""
    return [split for split in ("dev", "held_out") if split in rows]


def budget(options: Options) -> Record:
    """Return what all students of a table have to share."""
    return {"task": options.task, "rows": options.rows, "epochs": options.epochs}


def teacher_line(options: Options) -> Record:
    """Return the line that the table reads everything of the teacher and the rows from."""
    rows, said = read_rows(options, "teacher"), teacher_outputs(options, False)
    splits = held_out(rows)
    return {
        "teacher": options.task,
        **budget(options),
        "labels": {split: rows[split].labels.tolist() for split in splits},
        "logits": {split: _rounded(said[split].logits) for split in splits},
    }
