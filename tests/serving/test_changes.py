"""A server under constant load: another champion, a champion that cannot be loaded, SIGTERM; no request is dropped."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from tests.registered_students import make_champion, register_student
from tests.serving.conftest import ROOT, TASK
from tests.serving.server_process import PATIENCE, Clients, served


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_versions_change_and_the_server_ends_without_a_dropped_request(project: Path, registry: ModuleType) -> None:
    with served(project) as server:
        server.wait_until_ready()
        with Clients(server, 6, rows=4) as clients:
            wait_until(lambda: all(len(answers) >= 5 for answers in clients.answers))
            make_champion(registry, TASK, 2)
            wait_until(lambda: all(answers[-1:] == [2] for answers in clients.answers) or bool(clients.failures))
            break_next_version(registry)
            wait_until(lambda: server.metric("stillhouse_failed_looks_total") > 0)
            seen = [len(answers) for answers in clients.answers]
            wait_until(lambda: all(len(now) > was for now, was in zip(clients.answers, seen, strict=True)))
            answered_before = sum(map(len, clients.answers))
            server.process.send_signal(signal.SIGTERM)
            clients.wait()
        assert (clients.failures, clients.dropped, clients.refused) == ([], [], 6)
        assert sum(map(len, clients.answers)) > answered_before
        for versions in clients.answers:
            assert set(versions) == {1, 2}
            assert versions == sorted(versions)  # the new one once and for all
        assert server.process.wait(PATIENCE) == 0
        said = server.process.stdout.read() if server.process.stdout else ""
        assert "sentiment version 2 answers" in said and "version 3 answers" not in said
        assert said.splitlines()[-1] == "stillhouse: serve: ended, all that was asked is answered"


def break_next_version(registry: ModuleType) -> None:
    """Register a third version, take its weights away and make it champion."""
    register_student(registry, TASK, Path("save_label_student"))
    model = registry.MlflowClient().get_model_version(TASK, "3").source.rpartition("/")[2]
    (weights,) = Path("mlruns").glob(f"*/models/{model}/**/model.safetensors")
    weights.unlink()
    make_champion(registry, TASK, 3)


@pytest.mark.slow
def test_what_is_in_flight_at_sigterm_is_answered(project: Path, registry: ModuleType) -> None:
    make_champion(registry, TASK, 1)
    with served(project) as server:
        server.wait_until_ready()
        with Clients(server, 4, rows=128) as clients:
            wait_until(lambda: sum(map(len, clients.answers)) >= 4)
            server.process.send_signal(signal.SIGTERM)
            clients.wait()
        assert (clients.failures, clients.dropped, clients.refused) == ([], [], 4)
        assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "models:/sentiment@champion: not in the registry at sqlite:///"),
        (["--task", "intents"], "--task: expected one of ['sentiment'], got intents"),
    ],
)
def test_without_a_champion_no_server_starts(
    options: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    result = CliRunner().invoke(app, ["serve", *options, "--port", "0"])
    assert (result.exit_code, result.output.startswith(f"stillhouse: {expected}")) == (2, True), result.output
