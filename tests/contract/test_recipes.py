"""Every recipe is a whole params.yaml, its keys in the order of params.yaml, its corpus free of what is measured on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.params import Params, load_params, read_yaml

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
DEFAULT = read_yaml(ROOT / "params.yaml")
NAMED = ("datasets", "tasks")  # their keys are names
recipes = pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)


def sections(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield each section's path, names left out, and its keys."""
    if path not in NAMED:
        yield path, list(values)
    for key, value in values.items():
        inside = path if path in NAMED else f"{path}.{key}".removeprefix(".")
        if isinstance(value, dict):
            yield from sections(value, f"{inside}.*" if path in NAMED else inside)


ORDER = dict(sections(DEFAULT))


@recipes
def test_keys_stand_in_the_order_of_params_yaml(recipe: Path) -> None:
    for path, keys in sections(read_yaml(recipe)):
        if path in ORDER and not path.endswith((".labels", ".files")):
            common = [key for key in keys if key in ORDER[path]]
            assert common == [key for key in ORDER[path] if key in common], path


PARAMETERS = {
    key for stage in read_yaml(ROOT / "dvc.yaml")["stages"].values() for key in stage.get("do", stage).get("params", [])
}


@pytest.mark.parametrize("path", [ROOT / "params.yaml", *RECIPES], ids=lambda path: path.stem)
def test_every_parameter_of_dvc_yaml_is_there(path: Path) -> None:
    """DVC refuses to run a stage one of whose parameters is missing, so what may be left out must lie deeper."""
    values = read_yaml(path)
    for parameter in PARAMETERS:
        section, *_ = parameter.split(".${key}")
        for name in values[section] if "${key}" in parameter else [""]:
            found: Any = values
            for key in parameter.replace("${key}", name).split("."):
                assert key in found, parameter.replace("${key}", name)
                found = found[key]


@recipes
def test_sections_are_set_apart_as_in_params_yaml(recipe: Path) -> None:
    lines = recipe.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    for section in DEFAULT:
        (number,) = [i for i, line in enumerate(lines) if line.startswith(f"{section}:")]
        assert lines[number - 1] == "", section


def held_out_of(params: Params, dataset: str) -> set[str]:
    """Return the datasets whose dev and test texts a dataset is free of: itself and the chain of `held_out`."""
    found: set[str] = set()
    while dataset != "none":
        found.add(dataset)
        dataset = params.datasets[dataset].held_out
    return found


@recipes
def test_the_corpus_is_free_of_every_text_that_a_task_is_measured_on(recipe: Path) -> None:
    params = load_params(recipe)
    assert {task.dataset for task in params.tasks.values()} <= held_out_of(params, params.corpus.dataset)


@recipes
def test_files_to_bring_name_their_origin_and_lie_under_data_raw(recipe: Path) -> None:
    for dataset in load_params(recipe).datasets.values():
        if dataset.source.kind == "file":
            assert dataset.path.startswith("data/raw/")
            assert dataset.source.origin and "(" in dataset.source.origin  # the licence
