"""Which server of Prefect's the flows talk to: a lasting one, else one of its own for a single flow run.

The latter ends with the flow: Prefect's own outlives a SIGKILL.
"""

import atexit
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from filelock import FileLock
from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS

from pipeline.drivers import HOST, PREFECT_PORT, start, stop
from pipeline.files import InputError, without_credentials

POOL = "stillhouse"  # of prefect.yaml
PROGRAM = str(Path(sys.executable).with_name("prefect"))


def require_server() -> None:
    """Name the server of `make ui` where PREFECT_API_URL names none; raise InputError where it does not answer."""
    url = PREFECT_API_URL.value() or f"http://{HOST}:{PREFECT_PORT}/api"
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10):
            pass
    except OSError:
        wanted = "expected the one of `make ui`, or another that PREFECT_API_URL names"
        raise InputError(f"{without_credentials(url)}: no server of Prefect's answers, {wanted}") from None
    os.environ["PREFECT_API_URL"] = url
    refresh_global_settings_context()


def start_server() -> None:
    """Start a server for the rest of this process, unless PREFECT_API_URL names one.

    Raises RuntimeError where it does not answer in PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.
    """
    if PREFECT_API_URL.value():
        return
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    url = f"http://{HOST}:{port}/api"
    with FileLock(PREFECT_HOME.value() / "server.lock"):  # two that create one database at once may break it
        server = start(_command(port))
        atexit.register(stop, server)  # by then Prefect's threads have sent what they knew
        _wait_until_it_answers(server, url)
    threading.Thread(target=_pass_on_output, args=[server], daemon=True).start()
    os.environ |= {"PREFECT_API_URL": url, "PREFECT_UI_URL": ""}  # it has no page to point to
    refresh_global_settings_context()


def _command(port: int) -> list[str]:
    """Return what Prefect itself starts where no server is named: no page, no scheduler."""
    settings = ["PREFECT_SERVER_UI_ENABLED=false", "PREFECT__SERVER_EPHEMERAL=1", "PREFECT__SERVER_FINAL=1"]
    uvicorn = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    return ["env", *settings, *uvicorn, "--host", HOST, "--port", str(port), "--log-level", "error"]


def _wait_until_it_answers(server: subprocess.Popen[str], url: str) -> None:
    deadline = time.monotonic() + PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(f"{url}/health"):
            return
        time.sleep(0.1)
    stop(server)
    assert server.stdout is not None
    raise RuntimeError(f"Prefect's server did not start: {' '.join(server.stdout.read().split())}")


def _pass_on_output(server: subprocess.Popen[str]) -> None:
    """Read what the server prints, or its pipe fills up and it stops."""
    for line in server.stdout or ():
        print(line, end="", file=sys.stderr)
