"""One set of services for the whole session, and a clone in which the default job ran against it."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.params import read_yaml
from pipeline.smoke import at_smoke_scale
from tests.services.compose import PAGE, Services, services
from tests.services.s3_server import EXPORTED
from tests.trust.whole_project import ROOT, checkout


@pytest.fixture(scope="session")
def team() -> Iterator[Services]:
    """PostgreSQL, S3, MLflow's and Prefect's servers."""
    with services() as found:
        yield found


@pytest.fixture(scope="session")
def first_clone(team: Services, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which the flow ran the default job at the smoke scale, pushed what it made and committed."""
    folder = checkout(ROOT, tmp_path_factory.mktemp("first"))
    values = at_smoke_scale(read_yaml(folder / "params.yaml"))
    YAML().dump(values, folder / "params.yaml")
    commit(folder, "the smoke scale")
    name_remote(team, folder)
    run(team, folder, sys.executable, "-m", "flows.train", "--push")
    commit(folder, "a whole run")
    return folder


def name_remote(team: Services, folder: Path) -> None:
    """Tell DVC of a clone where the team's storage is, in the words of docs/how-to/shared-services.md."""
    for command in re.findall(r"^ {4}\.venv/bin/(dvc remote (?:add|modify) .+)$", PAGE, flags=re.MULTILINE):
        run(team, folder, *team.here(command).split())


def run(team: Services, folder: Path, *command: str, **environment: str) -> str:
    """Run a command in a clone as somebody of the team, and return what it printed."""
    variables, pipe = team.clients() | environment, subprocess.PIPE
    done = subprocess.run(command, cwd=folder, env=variables, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def commit(folder: Path, message: str) -> None:
    """Commit everything that git does not ignore."""
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    subprocess.run(["git", *who, "commit", "--quiet", "--message", message], cwd=folder, check=True)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port, which the variables of the page name."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    for variable in " ".join(EXPORTED).replace("7070", str(free)).replace("export ", "").split():
        monkeypatch.setenv(*variable.split("=", 1))
    return free
