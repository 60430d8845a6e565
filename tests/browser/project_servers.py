"""`stillhouse ui` over a project: the addresses of MLflow's and Prefect's pages once both answer."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 240  # seconds for two servers to start on a busy machine


@contextlib.contextmanager
def project_servers(folder: Path) -> Iterator[dict[str, str]]:
    """Start both servers in `folder`, yield their addresses by name, and end them."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "pipeline.cli", "ui", "--json"]
    with subprocess.Popen(
        command, cwd=folder, env=os.environ | {"PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            addresses: dict[str, str] = json.loads(process.stdout.readline())
            for address in (addresses["mlflow"], f"{addresses['prefect']}/api/health"):
                _wait_for(address)
            yield addresses
        finally:
            process.terminate()


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
