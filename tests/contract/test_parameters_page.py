"""docs/parameters.md is what the code says about params.yaml, and leaves no key out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.parameters import page
from pipeline.params import read_yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
FILES = [ROOT / "params.yaml", *sorted((ROOT / "recipes").glob("*.yaml"))]


def test_the_page_is_the_one_that_the_code_makes() -> None:
    assert page() == PAGE, "renew it: python -m pipeline.cli.parameters > docs/parameters.md"


def keys(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        place = f"{path}.NAME" if path in ("datasets", "tasks") else f"{path}.{key}".removeprefix(".")
        of_names = place == "datasets.NAME.labels" or (key == "files" and values["kind"] == "package")
        if isinstance(value, dict) and not of_names:
            yield from keys(value, place)
        else:
            yield place


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_key_of_the_shipped_parameters_is_explained(path: Path) -> None:
    explained = {line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `")}
    sections = {line.strip("# ") for line in PAGE.splitlines() if line.startswith("##")}
    assert set(keys(read_yaml(path))) <= explained | sections


def test_ranges_and_choices_are_those_of_the_types() -> None:
    for line in (
        "| `tasks.NAME.distill.temperature` | number > 0 | ",
        "| `datasets.NAME.decontamination.permutations` | integer >= 16 and <= 512 | ",
        "| `tokenizer.vocabulary_size` | integer >= 100 or null | ",
        "| `runtime.precision` | one of `auto`, `float32`, `bfloat16` | ",
        "| `tasks.NAME.distill.layer_map` | list of lists of 2 integers | ",
        "| `tasks.NAME.labels` | list of non-empty texts | ",
        "| `init_from.kind` | `random` | ",
    ):
        assert line in PAGE
