"""`stillhouse ui`: MLflow's and Prefect's own pages, on loopback, over this project's state."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from pipeline.cli.answers import answer
from pipeline.cli.preflight import check_project
from pipeline.drivers import HOST, MLFLOW_PORT, PREFECT_PORT, STATE, start, stop
from pipeline.files import without_credentials
from pipeline.tracking import DATABASE


def show_pages() -> None:
    """Start both servers, print their addresses, and end them on Ctrl-C or SIGTERM."""
    check_project()
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background job inherits the second one ignored
        signal.signal(number, signal.default_int_handler)
    mlflow, prefect = _free_port(MLFLOW_PORT), _free_port(PREFECT_PORT)
    store = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE}"
    os.environ |= {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # one process is enough for one person
        "PREFECT_HOME": os.environ.get("PREFECT_HOME", str((STATE / "prefect").resolve())),
        "PREFECT_API_URL": f"http://{HOST}:{prefect}/api",  # its page calls the address that it finds here
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # in memory a restart of the server would forget who holds a slot, and the slot would never be free again
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)  # the server's database goes there
    programs = Path(sys.executable).parent
    servers = [start([str(programs / "prefect"), "server", "start", "--host", HOST, "--port", str(prefect)])]
    address = f"http://{HOST}:{mlflow}"
    if store.startswith("http"):
        address = without_credentials(store)
    else:
        options = ["--backend-store-uri", store, "--host", HOST, "--port", str(mlflow), "--workers", "1"]
        servers.append(start([str(programs / "mlflow"), "server", *options]))
    print(f"MLflow   {address}\nPrefect  http://{HOST}:{prefect}")
    print("both take some seconds to answer; Ctrl-C ends them", flush=True)
    answer({"mlflow": address, "prefect": f"http://{HOST}:{prefect}"})
    try:
        for server in servers:
            threading.Thread(target=_discard_output, args=[server], daemon=True).start()
        for server in servers:
            server.wait()
    finally:
        for server in servers:
            stop(server)


def _free_port(preferred: int) -> int:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, preferred))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _discard_output(server: subprocess.Popen[str]) -> None:
    """Read what a server prints, or its pipe fills up and it stops."""
    for _ in server.stdout or ():
        pass
