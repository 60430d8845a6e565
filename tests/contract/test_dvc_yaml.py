"""dvc.yaml states everything a stage reads and writes: paths, code and parameters."""

import ast
import importlib
import inspect
import shlex
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]


def stages() -> dict[str, dict[str, Any]]:
    document = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    return {name: stage.get("do", stage) for name, stage in document["stages"].items()}


def paths(entries: list[Any]) -> set[str]:
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}


def outputs(stage: dict[str, Any]) -> set[str]:
    return set().union(*(paths(stage.get(kind, [])) for kind in ("outs", "metrics", "plots")))


def options(stage: dict[str, Any]) -> dict[str, str]:
    words = shlex.split(stage["cmd"])[4:]
    return dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True))


STAGES = stages()


@pytest.mark.parametrize("name", STAGES)
def test_the_shell_gives_its_place_to_the_stage(name: str) -> None:
    """Else a stage outlives a DVC that is killed: it dies with its parent, which would be the shell."""
    assert STAGES[name]["cmd"].startswith(f"exec python -m pipeline.stages.{name} --")


@pytest.mark.parametrize("name", STAGES)
def test_options_are_the_keywords_of_run(name: str) -> None:
    module = importlib.import_module(f"pipeline.stages.{name}")
    keywords = list(inspect.signature(module.run).parameters)[1:]
    assert sorted(options(STAGES[name])) == sorted(keyword.replace("_", "-") for keyword in keywords)


@pytest.mark.parametrize("name", STAGES)
def test_every_path_of_the_command_is_a_dependency_or_an_output(name: str) -> None:
    stage = STAGES[name]
    declared = paths(stage["deps"]) | outputs(stage)
    for option, value in options(stage).items():
        if value == "${key}" or (name, option) == ("register", "reports"):
            continue  # register rebuilds the shared report, which is no output of DVC's
        inside = [path for path in declared if path == value or path.startswith(f"{value}/")]
        assert inside, f"{name}: --{option} {value} is neither in deps nor in outs"


@pytest.mark.parametrize("name", STAGES)
def test_every_declared_path_is_used_by_the_command(name: str) -> None:
    stage = STAGES[name]
    given = list(options(stage).values())
    for path in paths(stage["deps"]) | outputs(stage):
        if not path.startswith("pipeline/"):
            assert any(path == value or path.startswith(f"{value}/") for value in given), f"{name}: {path} is not used"


def imported(module: Path) -> list[str]:
    """What a module imports, whatever the depth of the import in its code, with dotted names."""
    names: list[str] = []
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def reached(name: str) -> set[Path]:
    """The project's own files that a stage can come to import."""
    found: set[Path] = set()
    waiting = [ROOT / "pipeline" / "stages" / f"{name}.py"]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            bases = [ROOT.joinpath(*name.split(".")) for name in imported(module)]
            candidates = [path for base in bases for path in (base.with_suffix(".py"), base / "__init__.py")]
            waiting += [path for path in candidates if path.is_file()]
    return found


@pytest.mark.parametrize("name", STAGES)
def test_all_code_a_stage_can_reach_is_a_dependency(name: str) -> None:
    declared = [path for path in paths(STAGES[name]["deps"]) if path.startswith("pipeline/")]
    for module in reached(name):
        path = module.relative_to(ROOT).as_posix()
        if module.name == "__init__.py" and not module.read_text(encoding="utf-8").strip():
            continue
        assert any(path == entry or path.startswith(f"{entry}/") for entry in declared), f"{name} reaches {path}"


@pytest.mark.parametrize("name", ["ingest", "validate", "train_tokenizer", "tokenize_corpus"])
def test_a_stage_without_a_model_starts_without_torch(name: str) -> None:
    for module in reached(name):
        assert "torch" not in {package.split(".")[0] for package in imported(module)}, module
