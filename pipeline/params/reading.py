"""From the file to its typed view; every mistake is one line that names the key by its full path."""

import reprlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from pipeline.files import InputError
from pipeline.params.whole import Params

MAX_CHARACTERS = 5_000_000  # dvc.lock, the longest file read here, has some 130 a dependency
MAX_DEPTH = 50
_UNION_TAGS = {"package", "file", "hub", "folder", "random"}
_SHOWN = reprlib.Repr()  # of a value of aliases of aliases the whole may have more characters than there are atoms
_SHOWN.maxstring = _SHOWN.maxother = 200
_SHOWN.maxlevel = 2


def load_params(path: Path) -> Params:
    """Read and check params.yaml as DVC reads it (YAML 1.2: `5e-4` is a number).

    Raises InputError naming the key's full path, what was found and what was expected.
    """
    return check_params(read_yaml(path), path)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a YAML 1.2 file as plain dicts and lists; raise InputError where it is missing, broken or no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        _check_size(path, text)
        value = YAML(typ="safe").load(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected the parameters of the run") from None
    except (InputError, OSError):
        raise
    except Exception as error:  # a tag's own reader raises what it likes: `!!int x`, `!!bool x`, 2020-13-45
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: must be a mapping of sections, got {type(value).__name__}")
    return value


def _check_size(path: Path, text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{path}: {len(text):,} characters, expected at most {MAX_CHARACTERS:,}")
    depth = 0
    for event in YAML(typ="safe").parse(text):  # the reader itself recurses in C, without asking for how long
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise InputError(f"{path}: line {event.start_mark.line + 1}: nested deeper than {MAX_DEPTH} levels")


def check_params(values: dict[str, Any], path: Path) -> Params:
    """Return the typed view of parameters read from `path`; raise InputError naming the first wrong key."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {_one_line(error)}") from None


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
    return f"{place}: {reason}, got {_SHOWN.repr(first['input'])}"
