"""Imports point one way: stages -> features -> training -> objectives and architectures -> params, files, tracking."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FEATURES = {"sources", "validation", "tokenization", "tasks", "distillation", "exporting", "evaluation", "registry"}
GROUND = {"engine", "params", "files", "outcomes", "processes", "schema", "storage", "swaps"} | {
    "stage_run",
    "templates",
    "tracking",
    "words",
}
ALLOWED = {
    "stages": FEATURES | {"training", "objectives", "architectures", "stages"} | GROUND,
    "cli": FEATURES
    | GROUND
    | {"cli", "smoke", "drivers", "locks", "project_copy", "scoring", "serving"}
    | {"training", "objectives", "architectures"},
    "serving": {"registry"} | GROUND,  # the registered student is the only model it knows
    "smoke": GROUND,
    "drivers": {"files", "processes"},
    "locks": {"drivers", "files", "processes"},
    "project_copy": {"drivers", "files"},
    "sources": GROUND,
    "validation": GROUND,
    "tokenization": {"training", "architectures"} | GROUND,
    "tasks": {"training", "objectives", "architectures"} | GROUND,
    "distillation": {"training", "objectives", "architectures"} | GROUND,
    "exporting": {"training", "architectures"} | GROUND,
    "evaluation": {"training"} | GROUND,
    "registry": {"evaluation", "training"} | GROUND,  # the gate asks evaluation's statistics
    "scoring": {"registry", "evaluation", "sources", "training"} | GROUND,  # a command, as stages are
    "training": {"objectives", "architectures"} | GROUND,
    "objectives": {"architectures"} | GROUND,
    "architectures": GROUND,
    "params": {"files", "processes"},
    "engine": {"files"},
    "files": {"processes"},
    "outcomes": {"files", "processes"},
    "processes": set(),
    "schema": set(),
    "storage": {"files"},
    "swaps": set(),
    "words": set(),
    "stage_run": {"files", "processes", "tracking"},
    "tracking": {"files", "processes"},
}
LIGHT = {"architectures", "objectives", "tasks", "distillation", "exporting", "training"}
HEAVY = {"mlflow", "dvc", "prefect", "great_expectations", "pandas", "sklearn", "datasets"}

MODULES = sorted(path.relative_to(ROOT) for folder in ("pipeline", "flows") for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, at any depth of its code, with dotted names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def place(dotted: str) -> str:
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[0] == "pipeline"], ids=str)
def test_pipeline_imports_point_down(path: Path) -> None:
    home = path.parts[1].removesuffix(".py")
    if home == "__init__":
        return
    for name in imported(path):
        package = name.split(".")[0]
        assert package not in {"prefect", "dvc", "flows"}, f"{path} imports {name}"
        if (
            package == "pipeline"
            and (target := place(name))
            and (ROOT / "pipeline").joinpath(target).exists() | (ROOT / "pipeline" / f"{target}.py").exists()
        ):
            assert target == home or target in ALLOWED[home], f"{path} imports {name}"
        if home == "params":
            assert package not in HEAVY | {"torch", "transformers", "numpy"}, (
                f"{path} imports {name}, and has to be instant"
            )
        if home in LIGHT:
            assert package not in HEAVY, f"{path} imports {name}, and has to run with torch, transformers and numpy"


def test_stages_do_not_import_each_other() -> None:
    for path in MODULES:
        if path.parts[:2] == ("pipeline", "stages"):
            others = {name for name in imported(path) if name.startswith("pipeline.stages.")}
            assert all(name.startswith("pipeline.stages.command") for name in others), f"{path} imports {others}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[0] == "flows"], ids=str)
def test_flows_start_stages_as_processes(path: Path) -> None:
    for name in imported(path):
        assert name.split(".")[0] not in {"torch", "mlflow", "transformers"}, f"{path} imports {name}"
        assert not name.startswith("pipeline.") or place(name) in GROUND | {"drivers", "locks", "project_copy"}, (
            f"{path} imports {name}"
        )
        assert name.split(".")[0] != "dvc" or path.name == "graph.py", f"{path} imports {name}; only graph.py may"


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "distill_pretrained", "distill"])
def test_processes_have_met_before_they_are_asked_whether_they_agree(stage: str) -> None:
    source = (ROOT / f"pipeline/stages/{stage}.py").read_text(encoding="utf-8")
    assert source.index("runtime.prepare(") < source.index("work_folder(")
