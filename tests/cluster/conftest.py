"""One Ray of two cores for the whole session, which nobody else has the key to."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.ray_processes import of_ray


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """A Ray that was started as docs/how-to/data-on-ray.md has it; the folder that its processes name."""
    folder = Path("/tmp") / f"ray-{secrets.token_hex(4)}"  # sockets lie there, whose names have to be short
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "token")
        environment.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        environment.setenv("RAY_worker_niceness", "0")  # else other work on this machine stops them
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={port}", "--num-cpus=2"]
        command += ["--node-ip-address=127.0.0.1", "--include-dashboard=false", "--disable-usage-stats"]
        command += ["--object-store-memory=200000000", f"--temp-dir={folder}"]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)
        environment.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        import ray  # reads the variables

        try:
            yield folder
        finally:
            ray.shutdown()
            for process in of_ray(folder):
                os.kill(process, signal.SIGKILL)
            shutil.rmtree(folder)
