"""What MLflow shows of a stage, and that it never stands in the stage's way."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import tracking
from pipeline.processes import identity
from pipeline.stage_run import OUTPUT_HASH, QUEUE_RECORDS, STAGE, stage_run


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A fresh database in a folder that is the current one for this file's tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield tracking.connect().MlflowClient()


def _runs(client: Any, name: str) -> list[Any]:
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    return list(client.search_runs([experiment], f"tags.`{STAGE}` = '{name}'"))


def test_a_stage_that_ends_well_shows_its_curve_and_its_output(client: Any) -> None:
    with stage_run("pretrain", {"training": {"batch_size": 8}, "runtime": {"seed": 1}}) as run:
        for step in range(120):
            run.log({"step": step, "split": "train", "loss": 1 / (step + 1), "learning_rate": 0.1})
        run.tags[OUTPUT_HASH] = "abc"
    [shown] = _runs(client, "pretrain")
    assert shown.info.status == "FINISHED"
    assert shown.info.run_name == "pretrain"
    assert shown.data.params == {"training.batch_size": "8", "runtime.seed": "1"}
    assert shown.data.tags[OUTPUT_HASH] == "abc"
    history = client.get_metric_history(shown.info.run_id, "train_loss")
    assert [(point.step, point.value) for point in history] == [(step, 1 / (step + 1)) for step in range(120)]
    assert set(shown.data.metrics) == {"train_loss", "train_learning_rate"}


@pytest.mark.parametrize(("error", "status"), [(ValueError("bad"), "FAILED"), (SystemExit(143), "KILLED")])
def test_a_stage_that_raises_is_not_shown_as_running(client: Any, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), stage_run(f"ends {status}", {}) as run:
        run.tags[OUTPUT_HASH] = "abc"
        raise error
    [shown] = _runs(client, f"ends {status}")
    assert shown.info.status == status
    assert OUTPUT_HASH not in shown.data.tags


def test_a_resumed_stage_goes_on_in_its_run(client: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit), stage_run("resumed", {"seed": 1}, tmp_path) as run:
        run.log({"step": 1, "split": "train", "loss": 2.0})
        raise SystemExit(143)
    with stage_run("resumed", {"seed": 1}, tmp_path) as run:
        run.log({"step": 2, "split": "train", "loss": 1.0})
    [shown] = _runs(client, "resumed")
    assert shown.info.status == "FINISHED"
    assert len(client.get_metric_history(shown.info.run_id, "train_loss")) == 2


def test_what_a_killed_process_left_open_is_closed_by_the_next_start(client: Any) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        gone = identity(process.pid)
    alive, earlier = identity(), f"{os.getpid()}-1"  # this process, and one that had its number before
    processes = (gone, earlier, alive)
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    tags = tracking.whose() | {STAGE: "orphan"}
    runs = {name: client.create_run(experiment, tags=tags | {tracking.PROCESS: name}) for name in processes}
    namesake = tracking.socket.gethostname()  # of another machine
    elsewhere = client.create_run(experiment, tags=tags | {tracking.HOST: namesake, tracking.PROCESS: gone})
    with stage_run("next", {}):
        pass
    statuses = [client.get_run(run.info.run_id).info.status for run in (*runs.values(), elsewhere)]
    assert statuses == ["KILLED", "KILLED", "RUNNING", "RUNNING"]


def test_a_server_that_is_away_neither_slows_nor_stops_the_work(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("pipeline.stage_run.SECONDS_TO_CLOSE", 2.0)
    started = time.monotonic()
    with stage_run("away", {}) as run:
        for step in range(QUEUE_RECORDS + 100):
            run.log({"step": step, "split": "train", "loss": 1.0})
        assert time.monotonic() - started < 5.0  # one call to a server that is away would take longer
    assert time.monotonic() - started < 10.0


def test_a_process_killed_while_it_creates_the_database_leaves_none(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(tracking.__file__).parents[1])}
    script = "from pipeline.tracking import connect\nconnect()"
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment) as process:
        while process.poll() is None and not list(tmp_path.glob(".mlflow.db*")):
            time.sleep(0.01)
        process.kill()
    assert list(tmp_path.glob(".mlflow.db*")), "killed too late to show anything"
    assert not (tmp_path / "mlflow.db").exists()
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "mlflow.db").exists()


FULL = """\
import os, resource
from pipeline.files import explain
from pipeline.tracking import DATABASE, connected

def without_room():
    size = DATABASE.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def without_access():
    os.seteuid(12345) if os.getuid() == 0 else DATABASE.chmod(0o444)

for refuse in (without_room, without_access):
    try:
        with connected() as mlflow:
            refuse()
            with mlflow.start_run():
                mlflow.log_params({str(number): "x" * 100 for number in range(100)})
    except Exception as error:
        print(*explain(error))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


def test_a_database_without_room_or_access_is_named(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(tracking.__file__).parents[1])}
    environment.pop("MLFLOW_TRACKING_URI", None)
    script = [sys.executable, "-c", FULL]
    ended = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    room, access = ended.stdout.splitlines()
    assert room.startswith("2 mlflow.db: could not be written (") and room.endswith("), expected room on the disk")
    assert access.startswith("2 mlflow.db: could not be written (") and access.endswith(" to have access")
    assert "Traceback" not in ended.stderr


def test_of_several_processes_the_first_alone_shows_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "one")
    monkeypatch.setenv("RANK", "1")
    before = threading.active_count()
    with stage_run("pretrain", {"steps": 1}, tmp_path) as run:
        run.log({"step": 1, "split": "train", "loss": 1.0})
        assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []
