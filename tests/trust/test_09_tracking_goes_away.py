"""A tracking server that refuses, fails or hangs costs a curve until `register`, never a second of training."""

import contextlib
import http.server
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import stage_run, tracking
from pipeline.drivers import start as start_program
from pipeline.drivers import stop

ROOT = Path(__file__).parents[2]
LOGGED = 10  # steps of about a millisecond per record; a real run logs a hundred records in all

# steps per second without MLflow before and after, and within a stage whose server goes away in between
TRAINING = f"""\
import hashlib, json, sys, time
from pathlib import Path
from pipeline.stage_run import OUTPUT_HASH, stage_run

history, waits, block = [], [], bytes(2**20)

def speeds(log, windows):
    found = []
    for _ in range(windows):
        began = time.monotonic()
        for step in range(100):
            hashlib.sha256(block)
            if step % {LOGGED} == 0:
                log({{"step": len(history), "split": "train", "loss": 1 / (len(history) + 1)}})
        found.append(100 / (time.monotonic() - began))
    return found

def keep(record):
    history.append(record)
    began = time.monotonic()
    run.log(record)
    waits.append(time.monotonic() - began)

alone = speeds(lambda record: None, 10)
with stage_run("pretrain", {{"seed": 1}}, Path("work")) as run:
    speeds(keep, 1)
    print("at work", flush=True)
    sys.stdin.readline()
    shown = speeds(keep, 20)
    run.tags[OUTPUT_HASH] = "abc"
    Path("history.json").write_text(json.dumps(history))
    ending = time.monotonic()
closing = time.monotonic() - ending
alone += speeds(lambda record: None, 10)
# the fastest of each, as other work on the machine may slow any of them
print(json.dumps({{"speed": max(shown) / max(alone), "longest_wait": max(waits), "closing": closing}}))
"""


@contextlib.contextmanager
def answering(
    answer: Callable[[http.server.BaseHTTPRequestHandler], None],
) -> Iterator[tuple[str, threading.Event]]:
    """Yield the address of a server that gives every request the same answer, and what tells that it was asked."""
    asked = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            if self.rfile.readline():
                asked.set()
                answer(self)
            self.close_connection = True

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def fails(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.0 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")


def hangs(handler: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(30)


@contextlib.contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """Run a real MLflow server over the database in `folder`."""
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    command = [sys.executable, "-m", "mlflow", "server", *store, "--port", str(port), "--workers", "1"]
    with start_program(["env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", *command]) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=process.stdout.read)  # or its pipe fills up and it stops
        reader.start()
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                    break
                time.sleep(0.1)
            yield process
        finally:
            stop(process, grace=2)
            reader.join()


def train(folder: Path, address: str, then: Callable[[], object]) -> dict[str, float]:
    """Train in a process that is shown at `address`, and do `then` when it is at work; return what it measured."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": address}
    with subprocess.Popen(
        [sys.executable, "-c", TRAINING],
        cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        then()
        output, _ = process.communicate("\n", timeout=60)
    assert process.returncode == 0
    measured: dict[str, float] = json.loads(output.splitlines()[-1])
    return measured


def assert_registered_whole(folder: Path) -> None:
    """What `register` calls writes the run that is missing from its history file, whole, though it failed before."""
    from pipeline.registry.publish import StageRecord, record_candidate

    def record(history: Path) -> str:
        stages = [StageRecord("pretrain", "abc", history, {"seed": 1})]
        rest: dict[str, Any] = {"datasets": [], "artifacts": [], "texts": {}, "tags": {}}
        return record_candidate(mlflow, "candidate", stages=stages, **rest)

    history = json.loads((folder / "history.json").read_text())
    (folder / "half.json").write_text(json.dumps([*history[:2], {}]))
    with tracking.connected() as mlflow:
        with pytest.raises(KeyError):
            record(folder / "half.json")
        parent = record(folder / "history.json")
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
        runs = client.search_runs([experiment], f"tags.`{stage_run.STAGE}` = 'pretrain'")
        [whole] = [run for run in runs if run.data.tags.get(stage_run.OUTPUT_HASH) == "abc"]
        assert (whole.info.status, whole.data.params) == ("FINISHED", {"seed": "1"})
        assert whole.data.tags["mlflow.parentRunId"] == parent
        curve = client.get_metric_history(whole.info.run_id, "train_loss")
        assert [(point.step, point.value) for point in curve] == [(line["step"], line["loss"]) for line in history]
        assert {run.info.status for run in runs} <= {"FINISHED", "KILLED", "FAILED"}


def assert_unhurt(measured: dict[str, float]) -> None:
    """Training was as fast as without MLflow, and its end did not wait for it longer than allowed."""
    assert measured["speed"] >= 0.9
    assert measured["longest_wait"] < 1.0
    assert measured["closing"] < stage_run.SECONDS_TO_CLOSE + 1


@pytest.mark.parametrize("answer", [fails, pytest.param(hangs, marks=pytest.mark.slow)])
def test_a_server_that_never_answers_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[http.server.BaseHTTPRequestHandler], None]
) -> None:
    with answering(answer) as (address, asked):
        assert_unhurt(train(tmp_path, address, lambda: asked.wait(60)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert_registered_whole(tmp_path)


@pytest.mark.slow
def test_a_server_that_is_killed_in_mid_training_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with mlflow_server(tmp_path, port) as server:

        def kill_once_the_run_is_open() -> None:
            while not (tmp_path / "work/run.json").exists():
                time.sleep(0.05)
            os.killpg(server.pid, signal.SIGKILL)

        (tmp_path / "work").mkdir()
        assert_unhurt(train(tmp_path, address, kill_once_the_run_is_open))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with mlflow_server(tmp_path, port):
        assert_registered_whole(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        shown = database.execute("SELECT status FROM runs WHERE name = 'pretrain' ORDER BY start_time").fetchall()
    assert shown == [("KILLED",), ("FAILED",), ("FINISHED",)]  # cut off, half from the history file, whole


# a stage that ended before MLflow is there would not be shown, and `register` would write its run
STAGE = """\
import sys, time
from pathlib import Path
from pipeline.stage_run import OUTPUT_HASH, stage_run
work = Path("work") / sys.argv[1]
work.mkdir(parents=True)
with stage_run(sys.argv[1], {"seed": 1}, work) as run:
    for step in range(100):
        run.log({"step": step, "split": "train", "loss": 1.0})
    began = time.monotonic()
    while not (work / "run.json").exists() and time.monotonic() < began + 60:
        time.sleep(0.05)
    run.tags[OUTPUT_HASH] = "abc"
"""


@pytest.mark.slow
def test_eight_stages_that_start_at_once_leave_a_sound_database_with_all_their_runs(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment["PYTHONPATH"] = str(ROOT)
    names = [f"stage {number}" for number in range(8)]
    stages = [
        subprocess.Popen(
            [sys.executable, "-c", STAGE, name], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        )
        for name in names
    ]
    assert [(stage.communicate()[0], stage.returncode) for stage in stages] == [("", 0)] * 8
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        runs = database.execute("SELECT name, status FROM runs ORDER BY name").fetchall()
        points = database.execute("SELECT count(*) FROM metrics GROUP BY run_uuid").fetchall()
    assert runs == [(name, "FINISHED") for name in names]
    assert points == [(100,)] * 8
