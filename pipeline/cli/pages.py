"""`stillhouse ui`: MLflow's and Prefect's own pages, on loopback, over this project's state."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

from pipeline.cli.answers import answer
from pipeline.cli.preflight import check_project
from pipeline.drivers import HOST, MLFLOW_PORT, PREFECT_PORT, STATE, start, stop
from pipeline.files import without_credentials
from pipeline.tracking import DATABASE

PROGRAMS = Path(sys.executable).parent


def show_pages() -> None:
    """Start those of both servers that the environment names none for, and end them on Ctrl-C or SIGTERM.

    Prints the addresses. Raises RuntimeError where a server ends by itself, as one does whose port was taken meanwhile.
    """
    check_project()
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background job inherits the second one ignored
        signal.signal(number, signal.default_int_handler)
    store, api = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE}", os.environ.get("PREFECT_API_URL")
    mlflow, prefect = _free_port(MLFLOW_PORT), _free_port(PREFECT_PORT)
    shared = {"mlflow": store if store.startswith("http") else None, "prefect": api and api.removesuffix("/api")}
    own = {"mlflow": f"http://{HOST}:{mlflow}", "prefect": f"http://{HOST}:{prefect}"}
    pages = {name: without_credentials(shared[name] or address) for name, address in own.items()}
    servers = {}
    if not shared["prefect"]:
        servers["Prefect"] = _start_prefect(prefect)
    if not shared["mlflow"]:
        servers["MLflow"] = _start_mlflow(mlflow, store)
    print(f"MLflow   {pages['mlflow']}\nPrefect  {pages['prefect']}")
    if servers:
        print("they take some seconds to answer; Ctrl-C ends what was started here", flush=True)
    answer(pages)
    try:
        _wait_for_the_first_to_end(servers)
    finally:
        for server in servers.values():
            stop(server)


def _start_prefect(port: int) -> subprocess.Popen[str]:
    os.environ |= {
        "PREFECT_HOME": os.environ.get("PREFECT_HOME", str((STATE / "prefect").resolve())),
        "PREFECT_API_URL": f"http://{HOST}:{port}/api",  # its page calls the address that it finds here
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # in memory a restart of the server would forget who holds a slot, and the slot would never be free again
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)  # the server's database goes there
    return start([str(PROGRAMS / "prefect"), "server", "start", "--host", HOST, "--port", str(port)])


def _start_mlflow(port: int, store: str) -> subprocess.Popen[str]:
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # one process is enough for one person
    options = ["--backend-store-uri", store, "--host", HOST, "--port", str(port), "--workers", "1"]
    return start([str(PROGRAMS / "mlflow"), "server", *options])


def _free_port(preferred: int) -> int:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, preferred))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_for_the_first_to_end(servers: dict[str, subprocess.Popen[str]]) -> None:
    said = {name: deque[str](maxlen=1) for name in servers}
    for name, server in servers.items():  # what nobody reads fills the pipe, and the server stops
        threading.Thread(target=said[name].extend, args=[server.stdout], daemon=True).start()
    while servers:
        for name, server in servers.items():
            if server.poll() is not None:
                raise RuntimeError(f"the server of {name}'s pages ended: {' '.join(said[name]).strip()}")
        time.sleep(0.2)
