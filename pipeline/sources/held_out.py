"""The list of held-out texts that one dataset hands to the next, one JSON object a line."""

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.files import InputError, write_text
from pipeline.sources.canonical import identifier


def read_held_out(path: Path) -> dict[str, str]:
    """Return {id: text} of a held-out list; raise InputError naming the file and line that is wrong."""
    texts = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected the held-out list of another dataset") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at offset {error.start}") from None
    for number, line in enumerate(lines, start=1):
        if line:
            try:
                item = json.loads(line)
                texts[str(item["id"])] = str(item["text"])
            except (ValueError, KeyError, TypeError, RecursionError):
                raise InputError(f"{path}: line {number}: expected a JSON object with id and text") from None
    return texts


def write_held_out(path: Path, before: dict[str, str], tables: Iterable[Path]) -> None:
    """Write the texts of `before` and of canonical tables together, pairs and targets by themselves, sorted by id."""
    texts = dict(before)
    for table in tables:
        for column in pq.read_table(table, columns=["text", "pair", "target"]).columns:
            texts |= {identifier(text): text for text in column.drop_null().to_pylist()}
    lines = [json.dumps({"id": key, "text": text}, ensure_ascii=False) + "\n" for key, text in sorted(texts.items())]
    write_text(path, "".join(lines))
