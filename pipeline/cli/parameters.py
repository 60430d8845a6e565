"""docs/parameters.md from the typed view of params.yaml: `python -m pipeline.cli.parameters > docs/parameters.md`.

Types and ranges come from pydantic's JSON schema, sentences from the string literals under the fields.
"""

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from pipeline import params
from pipeline.params.section import Section

INTRODUCTION = """\
# Parameters

Every key of `params.yaml`, section by section. What applies must be present: no value has a default in the code. A key
that is not needed is null; columns, and keys that say nothing of a task's type or a model's family, may be left out.
NAME stands for the name of a dataset or a task, which is yours to choose. A share is a number from 0 to 1.

`stillhouse run` checks the file before the first stage starts and names a wrong value by its full path.
`dvc params diff` shows what has changed since the last commit.

This page is made from the code by `python -m pipeline.cli.parameters > docs/parameters.md`.
"""

SCHEMA = params.Params.model_json_schema()
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


class Row(NamedTuple):
    """A line of a table: the key's full path, what it may hold, what it does."""

    path: str
    values: str
    sentence: str


def page() -> str:
    """Return docs/parameters.md."""
    sentences = _sentences("Params")
    parts = [part for key, schema in SCHEMA["properties"].items() for part in _chapter(key, schema, sentences.get(key))]
    return "\n".join([INTRODUCTION, *parts])


def _chapter(path: str, schema: dict[str, Any], sentence: str | None) -> Iterator[str]:
    """Yield the part of the page on the section at `path`, then those on the sections inside it."""
    heading = f"{'###' if '.' in path else '##'} {path}\n"
    if "patternProperties" in schema:
        (member,) = schema["patternProperties"].values()
        yield f"{heading}\n{sentence} NAME is a {schema['propertyNames']['format']}.\n"
        yield from _chapter(f"{path}.NAME", member, None)
        return
    if _is_leaf(schema):
        yield f"{heading}\n{_values(schema).capitalize()}. {sentence}\n"
        return
    variants = [option["$ref"].split("/")[-1] for option in _options(schema) if "$ref" in option]
    rows = _rows_of_kinds(path, variants) if len(variants) > 1 else _rows(path, variants[0])
    yield f"{heading}\n{sentence or _summary(variants[0])}\n"
    if rows:
        lines = [f"| `{row.path}` | {row.values} | {row.sentence} |" for row in rows]
        yield "\n".join(["| key | values | what it does |", "|---|---|---|", *lines, ""])
    for variant in variants:
        sentences = _sentences(variant)
        for key, inner in _keys(variant).items():
            if not _is_leaf(inner):
                yield from _chapter(f"{path}.{key}", inner, sentences.get(key))


def _rows(path: str, section: str) -> list[Row]:
    sentences = _sentences(section)
    leaves = {key: schema for key, schema in _keys(section).items() if _is_leaf(schema)}
    return [Row(f"{path}.{key}", _values(schema), sentences[key]) for key, schema in leaves.items()]


def _rows_of_kinds(path: str, variants: list[str]) -> list[Row]:
    """Return the rows of a section that is one of several kinds: these first, then each key with its kinds."""
    kinds = {variant: _values(_keys(variant)["kind"]) for variant in variants}
    having: dict[Row, list[str]] = {}
    for variant in variants:
        sentences = _sentences(variant) | {"kind": _summary(variant)}
        for key, schema in filter(lambda item: _is_leaf(item[1]), _keys(variant).items()):
            row = Row(f"{path}.{key}", _values(schema), sentences[key])
            having.setdefault(row, []).append(kinds[variant])
    order = [row.path for row in having]
    rows = sorted(having, key=lambda row: order.index(row.path))
    first = [row for row in rows if row.path == f"{path}.kind"]
    return first + [
        row._replace(sentence=f"{row.sentence} For kind {' or '.join(having[row])}.") for row in rows[len(first) :]
    ]


def _keys(section: str) -> dict[str, Any]:
    return dict(SCHEMA["$defs"][section]["properties"])


def _options(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return list(schema.get("oneOf") or schema.get("anyOf") or [schema])


def _is_leaf(schema: dict[str, Any]) -> bool:
    return not any("$ref" in option for option in _options(schema))


def _values(schema: dict[str, Any]) -> str:
    """Say what a key may hold: its type and, where there are any, its choices and bounds."""
    match schema:
        case {"anyOf": options}:
            return " or ".join(_values(option) for option in options)
        case {"const": value}:
            return f"`{value}`"
        case {"enum": choices}:
            return "one of " + ", ".join(f"`{choice}`" for choice in choices)
        case {"type": "array", "items": items}:
            return f"list of {_count(schema)}{_plural(_values(items))}"
        case {"type": "object", "additionalProperties": values}:
            return f"mapping of text to {_values(values)}"
        case {"type": "string"}:
            return str(schema.get("format", "non-empty text" if schema.get("minLength") else "text"))
    bounds = [f"{sign} {schema[bound]}" for bound, sign in BOUNDS.items() if bound in schema]
    return " ".join([schema["type"], " and ".join(bounds)]).strip()


def _count(schema: dict[str, Any]) -> str:
    least, most = schema.get("minItems"), schema.get("maxItems")
    return "" if least is None else f"{least} " if least == most else f"{least} or more "


def _plural(values: str) -> str:
    if values.startswith("one of"):
        return values.replace("one of", "any of", 1)
    return values.replace("list", "lists", 1) if values.startswith("list") else f"{values}s"


def _summary(section: str) -> str:
    """Return the first paragraph of a section's docstring on one line."""
    return " ".join((inspect.getdoc(getattr(params, section)) or "").split("\n\n")[0].split())


def _sentences(section: str) -> dict[str, str]:
    """Return what stands under the fields of a section and of those it inherits from.

    pydantic can collect these too (use_attribute_docstrings), but it does so whenever the module is imported, which
    every stage would wait for.
    """
    found: dict[str, str] = {}
    for owner in reversed(getattr(params, section).__mro__):
        if issubclass(owner, Section):
            (definition,) = ast.parse(inspect.getsource(owner)).body
            assert isinstance(definition, ast.ClassDef)
            for field, text in pairwise(definition.body):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                        found[name] = " ".join(words.split())
    return found


if __name__ == "__main__":
    print(page(), end="")
