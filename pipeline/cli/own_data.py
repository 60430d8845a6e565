"""`stillhouse use --data FILE`: a params.yaml for rows of one's own, made from the one that stands there.

The task and the corpus are the same dataset: its labelled rows teach the task, its text is what pretraining reads.
"""

import io
import re
import shutil
import statistics
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.cli.answers import answer
from pipeline.cli.preflight import check_project
from pipeline.cli.profile import estimate_seconds, profile_rows, show_profile
from pipeline.cli.progress import planned_stages
from pipeline.cli.raw_data import bring, track
from pipeline.cli.recipe import PARAMS, refuse_to_lose_edits
from pipeline.drivers import STATE, record_seconds
from pipeline.files import InputError, write_text
from pipeline.params import ColumnsParams, LocalSource, check_params
from pipeline.params.task_types import TASK_TYPES

FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".parquet": "parquet"}
SPLIT = {"dev": 0.1, "test": 0.2}
MINIMUM_ROWS = 200  # leaves 20 rows to choose by and 40 to measure on
MINIMUM_ROWS_OF_A_CLASS = 20
MAXIMUM_CLASSES = 100
TAKEN = {"none", "corpus", "pretrain", "pretrained", "tokenizer", "validation"}  # names of the stages' own folders


@dataclass(frozen=True)
class Found:
    """What a file holds: rows per label and the length in words of each text, counted once; all texts and labels."""

    rows: dict[str, int]
    words: list[int]
    texts: list[str | None]
    labels: list[str | None]


def use_data(data: Path, *, text: str, label: str, name: str | None, force: bool) -> None:
    """Say what `data` holds, copy it to data/raw/, let DVC track it, and write a params.yaml that trains on it.

    Raises InputError for a file that cannot be read, a missing column, one class, too many, or too few rows.
    """
    check_project()
    refuse_to_lose_edits(force)
    suffix = data.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{data}: ends in {suffix!r}, expected one of {sorted(FORMATS)}")
    name = name or re.sub(r"[^a-z0-9]+", "-", data.stem.lower()).strip("-")
    if not re.fullmatch("[a-z0-9][a-z0-9_-]*", name) or name in TAKEN:
        raise InputError(f"--name: must be of a-z, 0-9, - and _, and none of {sorted(TAKEN)}, got {name!r}")
    found = _examine(data, FORMATS[suffix], text, label)
    _check_rows(data, label, found)
    target = Path("data/raw") / f"{name}{suffix}"
    columns = ColumnsParams(text=text, label=label)
    parameters = _parameters(name, target, _source(FORMATS[suffix]), columns, found)
    profile = profile_rows(found.texts, found.labels)
    stages = planned_stages(YAML(typ="safe").load(parameters))
    params = check_params(YAML(typ="safe").load(parameters), PARAMS)
    expected = estimate_seconds(profile, sum(found.words), params, stages)
    seconds = sum(expected.values())
    show_profile(str(data), profile, seconds)
    bring({target: data})
    track(target)
    write_text(PARAMS, parameters)
    record_seconds(expected)  # the time left that the first run shows
    print(f"params.yaml now trains the task {name} on {target}; `make run` does the rest")
    answer({"task": name, "data": str(target), "profile": profile.as_json(), "estimated_seconds": round(seconds)})


def _examine(data: Path, kind: Any, text: str, label: str) -> Found:
    """Read the file as ingest will; a text that stands twice counts once."""
    from pipeline.sources.reading import read_source

    if not data.is_file():
        raise InputError(f"{data}: no such file, expected your rows")
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE) as folder:  # ingest reads nothing from outside the project
        copy = Path(folder) / data.name
        shutil.copyfile(data, copy)
        columns = ColumnsParams(text=text, label=label)
        try:
            parts = list(read_source(_source(kind), copy, columns))
        except InputError as error:
            raise InputError(str(error).replace(str(copy), str(data))) from None
    texts = [row for part in parts for row in part.texts]
    values = [value for part in parts for value in part.labels]
    labels: dict[str, str] = {}
    for number, (row, value) in enumerate(zip(texts, values, strict=True), start=1):
        if not (value or "").strip():
            raise InputError(f"{data}: row {number}: no value in column {label!r}, expected a label")
        if (row or "").strip():
            labels[str(row)] = str(value)
    words = [len(row.split()) for row in labels]
    return Found(dict(sorted(Counter(labels.values()).items())), words, texts, values)


def _source(kind: Any) -> LocalSource:
    return LocalSource(kind="file", format=kind, header=None, files=None, origin=None)


def _check_rows(data: Path, label: str, found: Found) -> None:
    total, classes = len(found.words), len(found.rows)
    if classes == 1:
        raise InputError(f"{data}: column {label!r} holds one class, {next(iter(found.rows))!r}, expected at least 2")
    if classes > MAXIMUM_CLASSES:
        raise InputError(
            f"{data}: column {label!r} holds {classes} different values in {total} rows, expected at most "
            f"{MAXIMUM_CLASSES} classes; is this a label column?"
        )
    if total < MINIMUM_ROWS:
        raise InputError(
            f"{data}: {total} different texts, expected at least {MINIMUM_ROWS} to split into train, dev and test"
        )
    for value, count in found.rows.items():
        if count < MINIMUM_ROWS_OF_A_CLASS:
            raise InputError(
                f"{data}: {count} rows of class {value!r}, expected at least {MINIMUM_ROWS_OF_A_CLASS} "
                "of each to split into train, dev and test"
            )


def _parameters(name: str, path: Path, source: LocalSource, columns: ColumnsParams, found: Found) -> str:
    """Return the text of a params.yaml: the present one with one dataset and one task, its comments kept."""
    yaml = YAML()
    yaml.width = 4096
    values = yaml.load(PARAMS.read_text(encoding="utf-8"))
    task = next(iter(values["tasks"].values()))
    dataset = values["datasets"][task["dataset"]]
    total = len(found.words)

    dataset.update(path=str(path), held_out="none", line_breaks="space", only_sources=None, max_rows=None)
    dataset.update(
        source={"kind": source.kind, **source.model_dump(exclude_defaults=True)},
        columns=dict(columns.named),
        split=dict(SPLIT),
    )
    dataset["labels"] = {value: value for value in found.rows}
    dataset["validation"].update(min_characters=1, max_characters=20000)
    dataset["validation"]["min_label_share"] = round(min(found.rows.values()) / total / 2, 4)
    task.update(type="text_classification", dataset=name, labels=list(found.rows))
    metrics = TASK_TYPES["text_classification"].metrics
    if task["gate"]["metric"] not in metrics:
        task["gate"]["metric"] = metrics[0]
    length = _max_length(found.words)
    task["max_length"] = task["student"]["architecture"]["max_length"] = length
    task["transfer"]["min_words"] = max(
        1, min(task["transfer"]["min_words"], round(statistics.median(found.words) / 2))
    )
    task["gate"]["min_rows"] = min(task["gate"]["min_rows"], round(total * SPLIT["test"] / 2))
    values["datasets"] = {name: dataset}
    values["tasks"] = {name: task}
    values["corpus"]["dataset"] = name

    stream = io.StringIO()
    yaml.dump(values, stream)
    text = re.sub(r"(?<!\n)\n(?=[a-z_]+:)", "\n\n", stream.getvalue())  # a blank line before each section
    check_params(YAML(typ="safe").load(text), PARAMS)
    return text


def _max_length(words: list[int]) -> int:
    """Return a length in tokens that holds 19 of 20 texts, as far as time allows: 64 or 128."""
    return 64 if statistics.quantiles(words, n=20)[-1] <= 45 else 128
