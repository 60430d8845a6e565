"""Point 11: whatever stands in params.yaml is taken or refused by the path of its key; no path leaves the project."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from pipeline.files import InputError
from pipeline.params import check_params, load_params, read_yaml
from tests.trust.fuzzing import VALUES, fuzz, mutated, one_line

ROOT = Path(__file__).parents[2]
VALID = [(ROOT / "params.yaml").read_bytes(), *(path.read_bytes() for path in (ROOT / "recipes").glob("*.yaml"))]
YAML_SIGNS = (
    "&a", "*a", "&s [*s]", "!!int x", "!!bool x", "!!float x", "!!binary x", "!!set", "!!omap", "2020-13-45",
    "!!timestamp 2020-99-99", "0x", "1e999", ".nan", ".inf", "null", "? ", "- ", "[", "]", "{", "}", ": ", "'", '"',
    "|", "> ", "\n", "\t", "\x00", "%YAML 1.1\n", "---\n", "...\n", "<<: *a", "../../x", "/etc/passwd", "; rm -rf x",
)  # fmt: skip
YAML_PIECES = [sign.encode() for sign in YAML_SIGNS] + [b"\xff", b"9" * 5000, b"[" * 200_000, b"- " * 5000]


def keys_of(values: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(values, dict):
        return [path]
    return [path] * bool(path) + [inner for key, value in values.items() for inner in keys_of(value, (*path, key))]


DEFAULT = read_yaml(ROOT / "params.yaml")
CHANGES = st.tuples(st.sampled_from(keys_of(DEFAULT)), VALUES)
YAML_FILES = mutated(VALID, YAML_PIECES) | st.lists(st.sampled_from(YAML_PIECES), max_size=8).map(b"".join)


def reading_yaml(data: bytes) -> None:
    Path("params.yaml").write_bytes(data)
    try:
        load_params(Path("params.yaml"))
    except InputError as error:
        assert one_line(error).startswith("params.yaml: ")


def changing_a_key(change: tuple[tuple[str, ...], Any]) -> None:
    """A key with a value of any kind is taken or refused by the path of that key or of one that depends on it."""
    (*parents, last), value = change
    values = section = copy.deepcopy(DEFAULT)
    for parent in parents:
        section = section[parent]
    section[last] = value
    try:
        check_params(values, Path("params.yaml"))
    except InputError as error:
        named = re.match(r"params\.yaml: ([a-z_]+)(\.\S+)?: ", one_line(error))
        assert named and named[1] in DEFAULT, error


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_any_parameters_are_taken_or_refused_by_the_path_of_the_key() -> None:
    fuzz(YAML_FILES, reading_yaml, 200)
    fuzz(CHANGES, changing_a_key, 300)


@pytest.mark.slow
def test_two_thousand_parameters_are_taken_or_refused_by_the_path_of_the_key() -> None:
    fuzz(YAML_FILES, reading_yaml, 1000)
    fuzz(CHANGES, changing_a_key, 1000)


def test_aliases_of_aliases_do_not_unfold() -> None:
    """The billion laughs: a few hundred bytes that would be gigabytes as text."""
    laughs = "a0: &a0 [x, x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 14))
    text = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("seed: 17", "seed: *a13")
    Path("params.yaml").write_text(laughs + text, encoding="utf-8")
    with pytest.raises(InputError, match=r"^params\.yaml: runtime\.seed: must be a valid integer, got \[\[\[\.\.\.\]"):
        load_params(Path("params.yaml"))


PATHS = ["datasets.imdb.path", "init_from.path", "datasets.imdb.source.files", "init_from.folder"]


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "data/raw/../../../x", "", "data/raw/x;reboot", "-x", "$(x)"])
def test_no_path_leaves_the_project_or_the_package(key: str, path: str) -> None:
    values = copy.deepcopy(DEFAULT)
    section = values
    *parents, last = key.split(".")
    for parent in parents:
        section = section[parent]
    section[last] = {path: "0" * 64} if last == "files" else path
    if last != "path" and path in ("data/raw/x;reboot", "-x", "$(x)"):  # inside a package and in no command
        check_params(values, Path("params.yaml"))
        return
    with pytest.raises(InputError, match=rf"^params\.yaml: {re.escape(key)}.*: must be .*, got '{re.escape(path)}'"):
        check_params(values, Path("params.yaml"))


@pytest.mark.parametrize("name", ["../x", "/etc", "./data", "a/b/c", "a/../b", ""])
def test_no_name_on_the_hub_is_a_path(name: str) -> None:
    values = copy.deepcopy(DEFAULT)
    hub = {"kind": "hub", "name": name, "configuration": None, "split": "train", "revision": "0" * 40}
    values["datasets"]["imdb"]["source"] = hub
    with pytest.raises(InputError, match=r"^params\.yaml: datasets\.imdb\.source\.name: "):
        check_params(values, Path("params.yaml"))
    values = copy.deepcopy(DEFAULT)
    values["init_from"] = {"kind": "hub", "path": "constraints.txt", "name": name, "revision": "0" * 40}
    with pytest.raises(InputError, match=r"^params\.yaml: init_from\.name: "):
        check_params(values, Path("params.yaml"))
