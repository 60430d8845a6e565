"""JSON from outside: parsed, and its values taken out by their type, so that whatever has another shape is named."""

import json
import re
from typing import Any, TypeVar

from pipeline.files import InputError

Kind = TypeVar("Kind")
_SURROGATE = re.compile("[\ud800-\udfff]")
_KINDS = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def parse(place: str, text: str) -> Any:
    """Return the value that a JSON text holds; raise InputError where it is none, or none that can be held."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f" at character {error.pos}" if error.lineno == 1 else f" on line {error.lineno}"
        raise InputError(f"{place}: not JSON ({error.msg}{where})") from None
    except (RecursionError, ValueError):
        raise InputError(f"{place}: brackets nested too deep or a number of thousands of digits") from None


def check_kind(place: str, value: Any, kind: type) -> None:
    """Raise InputError where a value is not of the kind that stands at this place."""
    if type(value) is not kind:  # true is no number here
        raise InputError(f"{place}: {_KINDS[type(value)]}, expected {_KINDS[kind]}")


def member(place: str, value: Any, key: str, kind: type[Kind]) -> Kind:
    """Return what an object holds under a key; raise InputError where nothing of this kind is there."""
    check_kind(place, value, dict)
    if key not in value:
        raise InputError(f"{place}: no {key!r}, expected {_KINDS[kind]}")
    found = value[key]
    check_kind(f"{place}: {key!r}", found, kind)
    if isinstance(found, str):
        check_unicode(f"{place}: {key!r}", found)
    return found


def check_unicode(place: str, text: str) -> None:
    """Raise InputError for half of a surrogate pair, which JSON can spell and nothing can write."""
    if _SURROGATE.search(text):
        raise InputError(f"{place} holds half of a surrogate pair, expected Unicode text")
