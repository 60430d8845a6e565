"""`stillhouse ui` over a project: the addresses of MLflow's and Prefect's pages once both answer."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from tests.trust.whole_project import ENVIRONMENT, ROOT

PATIENCE = 240  # seconds for two servers to start on a busy machine


@contextlib.contextmanager
def project_servers(folder: Path, **environment: str) -> Iterator[dict[str, str]]:
    """Start the servers that `environment` names none for, in `folder`; yield both addresses by name; end them."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "pipeline.cli", "ui", "--json"]
    variables = ENVIRONMENT | {"PATH": path, "PYTHONPATH": str(ROOT)} | environment
    with contextlib.ExitStack() as stack:
        # a port that is free is taken a few seconds later, when the server has begun: two at once would want the same
        with FileLock(Path(tempfile.gettempdir()) / "stillhouse-test-servers.lock"):
            process = stack.enter_context(
                subprocess.Popen(
                    command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            )
            stack.callback(process.terminate)
            assert process.stdout is not None
            addresses: dict[str, str] = json.loads(process.stdout.readline())
            _wait_for(f"{addresses['prefect']}/api/health")
            if "MLFLOW_TRACKING_URI" not in environment:
                _wait_for(addresses["mlflow"])
        yield addresses


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
