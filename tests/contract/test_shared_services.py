"""What deploy/compose.yaml, its how-to and the extra `services` say of each other; `make test-services` runs it."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy/compose.yaml").read_text(encoding="utf-8")
SERVICES = YAML(typ="safe", pure=True).load(TEXT)["services"]
PAGE = (ROOT / "docs/how-to/shared-services.md").read_text(encoding="utf-8")


def pinned(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_the_page_sets_every_variable_of_the_compose_file() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", TEXT))
    assert used == set(re.findall(r"^ {4}([A-Z_]+)=", PAGE, flags=re.MULTILINE))
    assert all(f"${{{name}:?" in TEXT for name in used if name.endswith(("PASSWORD", "KEY", "KEY_ID")))


def test_ports_are_those_of_the_page_and_closed_to_others_unless_somebody_opens_them() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("${ADDRESS:-127.0.0.1}:") for port in ports)
    assert {port.split(":")[-1] for port in ports} == set(re.findall(r"http://127\.0\.0\.1:(\d+)", PAGE))


@pytest.mark.parametrize("name", ["ray", "services"])
def test_an_extra_is_pinned_beside_what_everybody_installs(name: str) -> None:
    everybody, extra = pinned("constraints.txt"), pinned(f"constraints-{name}.txt")
    assert not everybody.keys() & extra.keys()
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {re.sub(r"\[.*", "", package) for package in options[name]} <= extra.keys()


def test_nothing_that_everybody_runs_imports_the_extra() -> None:
    modules = {name.replace("-", "_") for name in pinned("constraints-services.txt")}
    for file in (path for folder in ("pipeline", "flows") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert modules.isdisjoint(name.split(".")[0] for name in names), file
