"""deploy/compose.yaml without Docker: its servers as processes of this machine, PostgreSQL from Debian, S3 from moto.

Addresses of containers become addresses of 127.0.0.1; commands and environment are the file's own.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

import psycopg
import requests
from ruamel.yaml import YAML

from pipeline.processes import end_with_parent

COMPOSE = YAML(typ="safe", pure=True).load(Path(__file__).parents[2] / "deploy/compose.yaml")
PAGE = (Path(__file__).parents[2] / "docs/how-to/shared-services.md").read_text(encoding="utf-8")
SECRETS = dict(re.findall(r"^ {4}([A-Z_]+)=(\S+)$", PAGE, flags=re.MULTILINE))  # what the page writes to deploy/.env
INSIDE = {"postgres": 5432, "storage": 7070, "mlflow": 5000, "prefect": 4200}  # the ports of the containers
OWN = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_", "AWS_"))}
OWN |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@dataclass(frozen=True)
class Services:
    """Where the four services answer: their ports on 127.0.0.1, and the log that each of them writes."""

    ports: dict[str, int]
    logs: Path

    def address(self, name: str) -> str:
        """Return the HTTP address of a service."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def database(self, name: str) -> str:
        """Return the address of one of PostgreSQL's databases."""
        return f"postgresql://stillhouse:{SECRETS['POSTGRES_PASSWORD']}@127.0.0.1:{self.ports['postgres']}/{name}"

    def clients(self) -> dict[str, str]:
        """Return the environment of somebody who uses them: what docs/how-to/shared-services.md has them export."""
        exported = re.findall(r"^ {4}export (.+)$", PAGE, flags=re.MULTILINE)
        return OWN | dict(word.split("=", 1) for line in exported for word in self.here(line).split())

    def here(self, text: str) -> str:
        """Return a text of the compose file or the page with the variables and addresses of this machine."""
        text = re.sub(r"\$\{(\w+)(?::[-?][^}]*)?\}", lambda match: SECRETS.get(match[1], "127.0.0.1"), text)
        for name, port in INSIDE.items():
            text = text.replace(f"{name}:{port}", f"127.0.0.1:{self.ports[name]}")
            text = text.replace(f"--port={port}", f"--port={self.ports[name]}")
            text = re.sub(rf"127\.0\.0\.1:{port}\b", f"127.0.0.1:{self.ports[name]}", text)
        return text.replace("--host=0.0.0.0", "--host=127.0.0.1")


@contextmanager
def services() -> Iterator[Services]:
    """Start what deploy/compose.yaml describes, yield where it answers, and end it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stillhouse-services-")))
        folder.chmod(0o755)  # PostgreSQL runs as another user
        found = Services({name: _free_port() for name in INSIDE}, folder)
        stack.enter_context(_postgres(found, folder / "postgres"))
        moto = [sys.executable, *f"-W ignore -m moto.server -H 127.0.0.1 -p {found.ports['storage']}".split()]
        stack.enter_context(_running("storage", moto, OWN, found))
        _wait_for(found.address("storage"), found, "storage")
        once = _of_compose("buckets", found)
        subprocess.run(once[0], env=once[1], check=True)
        for name, page in {"mlflow": "/health", "prefect": "/api/health"}.items():
            stack.enter_context(_running(name, *_of_compose(name, found), found))
            _wait_for(found.address(name) + page, found, name)
        yield found


def _of_compose(name: str, found: Services) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment that the compose file has for a service."""
    service = COMPOSE["services"][name]
    environment = {key: found.here(str(value)) for key, value in service["environment"].items()}
    environment["PREFECT_HOME"] = str(found.logs / "prefect-home")
    return [found.here(word) for word in service["command"]], OWN | environment


@contextmanager
def _postgres(found: Services, data: Path) -> Iterator[None]:
    """A cluster of its own; PostgreSQL refuses to run as root, who starts it as the user whom Debian made for it."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    bin_folder = programs[-1] if programs else Path(shutil.which("postgres") or "/usr/bin/postgres").parent
    user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    data.mkdir()
    if user:
        shutil.chown(data, "postgres", "postgres")
    password = found.logs / "password"
    password.write_text(SECRETS["POSTGRES_PASSWORD"], encoding="utf-8")
    initdb = ["initdb", "--pgdata", str(data), "--username", "stillhouse", "--auth", "scram-sha-256", "--no-sync"]
    subprocess.run(
        [bin_folder / initdb[0], *initdb[1:], "--pwfile", str(password)],
        cwd=data, check=True, stdout=subprocess.DEVNULL, **user,
    )  # fmt: skip
    port = str(found.ports["postgres"])
    server = [str(bin_folder / "postgres"), "-D", str(data), "-p", port, "-h", "127.0.0.1", "-k", str(data), "-F"]
    # told to terminate, it would wait for the connections that this process still holds
    with _running("postgres", server, OWN, found, end=signal.SIGINT, cwd=data, **user):
        with _connected(found.database("postgres")) as connection:
            for statement in COMPOSE["configs"]["databases"]["content"].splitlines():
                connection.execute(statement)
        yield


def _connected(address: str, seconds: float = 60.0) -> "psycopg.Connection[Any]":
    deadline = time.monotonic() + seconds
    while True:
        try:
            return psycopg.connect(address, autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@contextmanager
def _running(
    name: str,
    command: list[str],
    environment: dict[str, str],
    found: Services,
    end: signal.Signals = signal.SIGTERM,
    **options: Any,
) -> Iterator[None]:
    with (
        open(found.logs / f"{name}.log", "w", encoding="utf-8") as log,
        subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, preexec_fn=end_with_parent, **options
        ) as process,
    ):
        try:
            yield
        finally:
            process.send_signal(end)


def _wait_for(page: str, found: Services, name: str, seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if requests.get(page, timeout=10).status_code < 500:
                return
        except requests.RequestException:
            time.sleep(0.3)
    raise RuntimeError(f"{name} does not answer: {(found.logs / f'{name}.log').read_text()[-2000:]}")


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
