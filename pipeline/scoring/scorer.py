"""A registered model and how it answers the rows of a file, in shards that a killed run does not redo."""

import functools
import itertools
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from pipeline import tracking
from pipeline.engine import Engine, map_in_order
from pipeline.files import InputError, read_json, replacing, sha256_of_file, write_json
from pipeline.registry import champion
from pipeline.registry.publish import STUDENT_HASH
from pipeline.scoring.monitor import record_run
from pipeline.scoring.rows import Columns, Row
from pipeline.scoring.summary import Tally, of_test_rows
from pipeline.scoring.tables import Table, append
from pipeline.training.progress import Progress

# Both are part of what the output is: a model pads a text to the longest of those it reads it with, which moves the
# last digits of its answer.
SHARD_ROWS = 1024
SHARD_CHARACTERS = 4_000_000
MODEL = "model"  # the column that says who answered, as `stillhouse verify` takes it: sentiment/3


@dataclass(frozen=True)
class Scorer:
    """The champion of `task`, or that `version` of it, loaded when it is first asked for something.

    threads: those that the model computes with, wherever `engine` has it run. named: what the input calls the texts
    that the model reads. Of its other columns the output keeps those of `key`, all where that is empty.
    Raises InputError where the model is not there or does not read a column that is named.
    """

    task: str
    threads: int
    engine: Engine = "local"
    version: int | None = None
    named: Mapping[str, str | None] = field(default_factory=dict)
    key: Sequence[str] = ()

    @functools.cached_property
    def registered(self) -> Any:
        """What the registry says of the version."""
        return _registered(tracking.connect(), self.task, self.version)

    @functools.cached_property
    def model(self) -> champion.Champion:
        """The version itself."""
        torch.set_num_threads(self.threads)
        return champion.load(tracking.connect(), self.task, int(self.registered.version))

    @property
    def name(self) -> str:
        """The version as the column `model` has it."""
        return f"{self.task}/{self.model.version}"

    @functools.cached_property
    def columns(self) -> Columns:
        """Those of the input and of the output."""
        answers = _answered_by(self.model) | {MODEL: tracking.connect().types.DataType.string}
        return Columns(_read_by(self.model, self.named), self.key, answers)

    def identity(self, source: Path) -> dict[str, Any]:
        """Return what the answers to a file depend on beside the code."""
        return {
            "rows": sha256_of_file(source),
            "format": source.suffix,
            "model": self.name,
            "student": self.registered.tags.get(STUDENT_HASH),
            "texts": dict(self.columns.texts),
            "key": list(self.columns.key),
            "threads": self.threads,
        }

    def answer(self, table: Table, name: str, folder: Path, out: Path) -> tuple[Tally, list[Path]]:
        """Write the rows of a table with their answers; return what was counted, and files of the rows set aside.

        name: what the lines of progress begin with. folder: where shards are kept, and found by a run that goes on.
        Raises InputError where there are no rows.
        """
        shards = _score_shards(name, table, self.model, folder, self.engine)
        table.join([shard / "answered" for shard in shards], out)
        tally = sum((Tally.from_json(read_json(shard / "tally.json")) for shard in shards), start=Tally())
        return tally, [shard / "set_aside.jsonl" for shard in shards]

    def record(self, source: Path, out: Path, tally: Tally) -> Path:
        """Keep the counts of a run beside those of others; return the page of all."""
        run = {"source": source.as_posix(), "source_sha256": sha256_of_file(source), "output": out.as_posix()}
        reference = of_test_rows(tracking.connect(), self.registered.run_id)
        return record_run(self.task, run | {"model": self.name}, tally, reference)


def leave_set_aside(parts: Sequence[Path], tally: Tally, aside: Path) -> None:
    """Write the rows set aside, or remove the file that another run has left where there are none."""
    if tally.set_aside:
        with replacing(aside) as draft:
            append(parts, draft)
    else:
        aside.unlink(missing_ok=True)


def _registered(mlflow: ModuleType, task: str, version: int | None) -> Any:
    """Return what the registry says of a version, the champion where none is named."""
    number = champion.current_version(mlflow, task) if version is None else version
    try:
        return mlflow.MlflowClient().get_model_version(task, str(number))
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise InputError(
            f"--version {number}: not in the registry at {mlflow.get_tracking_uri()}, expected a version of {task}"
        ) from None


def _answered_by(model: champion.Champion) -> dict[str, Any]:
    """Return the names of what the model answers, with their MLflow types."""
    return {str(column.name): column.type for column in model.model.metadata.get_output_schema()}


def _read_by(model: champion.Champion, columns: Mapping[str, str | None]) -> dict[str, str]:
    """Return by the model's names the columns it reads: those that are named, else columns of the same names."""
    for name, column in columns.items():
        if column is not None and name not in model.inputs:
            raise InputError(f"--{name} {column}: {model.task} reads {' and '.join(model.inputs)} alone")
    return {name: columns.get(name) or name for name in model.inputs}


def _score_shards(name: str, table: Table, model: champion.Champion, folder: Path, engine: Engine) -> list[Path]:
    """Score shard after shard, leaving out those that an earlier run finished; return where all of them lie."""
    shards: list[Path] = []
    asked: deque[tuple[Path, list[Row]]] = deque()  # shards whose answers are waited for
    progress = None

    def unanswered() -> Iterator[list[dict[str, str]]]:
        nonlocal progress
        read = 0
        for number, rows in enumerate(_shards(table.rows())):
            shards.append(folder / f"{number:06d}")
            if not shards[-1].exists():
                progress = progress or Progress(name, table.size, step=table.unit, unit="rows", start=read)
                asked.append((shards[-1], rows))
                yield [row.texts for row in rows if not row.reason]
            read = rows[-1].end

    answer = functools.partial(_answers, model)
    for said in map_in_order(answer, unanswered(), engine=engine, cores=torch.get_num_threads()):
        shard, rows = asked.popleft()
        with replacing(shard) as draft:
            draft.mkdir()
            _write_shard(table, f"{model.task}/{model.version}", rows, said, draft)
        if progress and progress.advance(len(rows)):
            progress.show(rows[-1].end)
    if not shards:
        raise InputError(f"{name}: no rows, expected some")
    return shards


def _shards(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield runs of rows, each of at most SHARD_ROWS; one that holds SHARD_CHARACTERS takes no more."""
    while shard := list(_shard(rows)):
        yield shard


def _shard(rows: Iterator[Row]) -> Iterator[Row]:
    characters = 0
    for row in itertools.islice(rows, SHARD_ROWS):
        yield row
        characters += len(row.found)
        if characters >= SHARD_CHARACTERS:
            return


def _write_shard(table: Table, model: str, rows: list[Row], said: list[dict[str, Any] | str], folder: Path) -> None:
    answers, answered, aside = iter(said), [], []
    for row in rows:
        answer = row.reason or next(answers)
        if isinstance(answer, str):
            aside.append({"row": row.number, "reason": answer, "found": row.found})
        else:
            answered.append((row, answer | {MODEL: model}))
    table.write(folder / "answered", [row for row, _ in answered], [answer for _, answer in answered])
    with open(folder / "set_aside.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in aside)
    tally = Tally.of([(row.texts["text"], answer) for row, answer in answered], set_aside=len(aside))
    write_json(folder / "tally.json", tally.as_json())


def _answers(model: champion.Champion, rows: list[dict[str, str]]) -> list[dict[str, Any] | str]:
    """Return the model's answer to the texts of each row, or why it refuses them.

    It refuses all rows that it is given for one of them, so that one is looked for by halves.
    """
    if not rows:
        return []
    try:
        answers = model.answer(rows)
        return [{name: answer[name] for name in answer if name not in model.inputs} for answer in answers]
    except InputError as error:
        if len(rows) == 1:
            return [str(error).removeprefix(f"models:/{model.task}@champion: ").removeprefix("row 0: ")]
    middle = len(rows) // 2
    return _answers(model, rows[:middle]) + _answers(model, rows[middle:])
