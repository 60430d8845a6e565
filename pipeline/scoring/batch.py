"""`stillhouse score`: every row of a file answered by a registered model, in shards that a killed run does not redo."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pipeline import tracking
from pipeline.files import InputError, read_json, replacing, sha256_of_file, write_json
from pipeline.registry import champion
from pipeline.scoring.monitor import record_run
from pipeline.scoring.rows import Columns, Row
from pipeline.scoring.summary import Tally, of_test_rows
from pipeline.scoring.tables import Table, append, open_table
from pipeline.training.checkpoints import work_folder
from pipeline.training.progress import Progress

# Both are part of what the output is: a model pads a text to the longest of those it reads it with, which moves the
# last digits of its answer.
SHARD_ROWS = 1024
SHARD_CHARACTERS = 4_000_000
MODEL = "model"  # the column that says who answered, as `stillhouse verify` takes it: sentiment/3


class Scored(NamedTuple):
    """What a run did: who answered, what was counted, where rows were set aside, and the page of all runs."""

    model: str
    tally: Tally
    set_aside: Path
    page: Path


def score(
    task: str,
    source: Path,
    out: Path,
    *,
    threads: int,
    version: int | None = None,
    columns: dict[str, str | None],
    key: Sequence[str] = (),
) -> Scored:
    """Write the rows of `source` with what the champion of `task`, or that `version` of it, answers to each.

    threads: those that the model computes with. columns: what the source calls the texts that the model reads. Of its
    other columns the output keeps those of `key`, all where that is empty. Rows that cannot be answered go to
    `NAME.set_aside.jsonl` beside the output, each with its number and the reason; where there are none, no such file is
    left. The same source and version give the same bytes.
    Raises InputError where the model, the file or a column is not there.
    """
    if out.suffix != source.suffix or out.resolve() == source.resolve():
        raise InputError(f"{out}: expected another file that ends in {source.suffix or '.csv'}, as the input does")
    aside = out.with_suffix(".set_aside.jsonl")
    if aside.resolve() == source.resolve():
        raise InputError(f"{source}: is where rows of {out} are set aside, expected an output of another name")
    torch.set_num_threads(threads)
    model = champion.load(task, version)
    from mlflow.types import DataType  # after `load`, which says how MLflow is to be imported

    wanted = Columns(_read_by(model, columns), key, model.outputs | {MODEL: DataType.string})
    table = open_table(source, wanted)
    run = {"source": source.as_posix(), "source_sha256": sha256_of_file(source), "output": out.as_posix()}
    run |= {"model": f"{task}/{model.number}"}
    identity: dict[str, Any] = {"rows": run["source_sha256"], "format": source.suffix, "model": run["model"]}
    identity |= {"student": model.student_sha256, "texts": dict(wanted.texts), "key": list(key)}
    with work_folder(f"score@{task}", identity | {"threads": threads}) as folder:
        shards = _score_shards(f"score {task}", table, model, folder)
        tally = sum((Tally.from_json(read_json(shard / "tally.json")) for shard in shards), start=Tally())
        if tally.set_aside:
            with replacing(aside) as draft:
                append([shard / "set_aside.jsonl" for shard in shards], draft)
        else:
            aside.unlink(missing_ok=True)
        with replacing(out) as draft:
            table.join([shard / "answered" for shard in shards], draft)
        page = record_run(task, run, tally, of_test_rows(tracking.connect(), model.run_id))
    return Scored(run["model"], tally, aside, page)


def _read_by(model: champion.Version, columns: dict[str, str | None]) -> dict[str, str]:
    """Return by the model's names the columns it reads: those that are named, else columns of the same names."""
    for name, column in columns.items():
        if column is not None and name not in model.inputs:
            raise InputError(f"--{name} {column}: {model.uri} reads {' and '.join(model.inputs)} alone")
    return {name: columns.get(name) or name for name in model.inputs}


def _score_shards(name: str, table: Table, model: champion.Version, folder: Path) -> list[Path]:
    """Score shard after shard, leaving out those that an earlier run finished; return where all of them lie."""
    shards, progress, read = [], None, 0
    for number, rows in enumerate(_shards(table.rows())):
        shards.append(folder / f"{number:06d}")
        if not shards[-1].exists():
            progress = progress or Progress(name, table.size, step=table.unit, unit="rows", start=read)
            with replacing(shards[-1]) as draft:
                draft.mkdir()
                _score_shard(table, model, rows, draft)
            if progress.advance(len(rows)):
                progress.show(rows[-1].end)
        read = rows[-1].end
    if not shards:
        raise InputError(f"{model.uri}: nothing to answer, expected rows below the header")
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


def _score_shard(table: Table, model: champion.Version, rows: list[Row], folder: Path) -> None:
    said = iter(_answers(model, [row for row in rows if not row.reason]))
    answered, aside = [], []
    for row in rows:
        answer = row.reason or next(said)
        if isinstance(answer, str):
            aside.append({"row": row.number, "reason": answer, "found": row.found})
        else:
            answered.append((row, answer | {MODEL: f"{model.name}/{model.number}"}))
    table.write(folder / "answered", [row for row, _ in answered], [answer for _, answer in answered])
    with open(folder / "set_aside.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in aside)
    tally = Tally.of([(row.texts["text"], answer) for row, answer in answered], set_aside=len(aside))
    write_json(folder / "tally.json", tally.as_json())


def _answers(model: champion.Version, rows: list[Row]) -> list[dict[str, Any] | str]:
    """Return the model's answer to each row, or why it refuses it.

    It refuses all rows that it is given for one of them, so that one is looked for by halves.
    """
    if not rows:
        return []
    try:
        return [*model.answer([row.texts for row in rows])]
    except InputError as error:
        if len(rows) == 1:
            return [str(error).removeprefix(f"{model.uri}: ").removeprefix("row 0: ")]
    middle = len(rows) // 2
    return _answers(model, rows[:middle]) + _answers(model, rows[middle:])
