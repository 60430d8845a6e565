"""prefect.yaml on a real server with a real worker: registered, run by hand and by the clock, killed and replaced."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.browser.project_servers import project_servers
from tests.flows.nursery import APPLES, done, harvest, plant
from tests.processes import processes_in
from tests.trust.orchard import start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PATIENCE = 300.0
TRAIN = "train@sentiment"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("deployed") / "nursery")


@pytest.fixture(scope="module")
def environment(checkout: Path) -> Iterator[dict[str, str]]:
    """What `make deploy` and `make worker` find around them: the server of `make ui`, MLflow's page left out."""
    with project_servers(checkout, MLFLOW_TRACKING_URI="http://127.0.0.1:1") as addresses:
        yield {
            "PREFECT_API_URL": f"{addresses['prefect']}/api",
            "PREFECT_HOME": str(checkout / ".stillhouse/prefect"),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "NURSERY": str(checkout / "done"),
        }


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Any]:
    """A client of the server, which answers."""
    import flows  # noqa: F401 sets the environment that Prefect reads when it is imported

    url = environment["PREFECT_API_URL"]
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(url) as client:
        eventually(lambda: client.api_healthcheck() is None, "an answer of the server")
        yield client


@pytest.fixture
def worker(checkout: Path, environment: dict[str, str], deployed: None) -> Iterator[Callable[[], int]]:
    """Start a worker and return its process number; none is left behind."""
    workers: list[subprocess.Popen[bytes]] = []

    def begin() -> int:
        with (checkout / "worker.log").open("a") as log:
            variables = os.environ | environment | {"PYTHONPATH": str(Path(__file__).parents[2])}
            command = [sys.executable, "-m", "flows.worker"]
            # as a script starts what is to go on behind it
            ignore = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
            workers.append(
                subprocess.Popen(command, cwd=checkout, env=variables, stdout=log, stderr=log, preexec_fn=ignore)
            )
        return workers[-1].pid

    yield begin
    for process in workers:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def deployed(checkout: Path, environment: dict[str, str], server: Any) -> None:
    deploy(checkout, environment)


def deploy(checkout: Path, environment: dict[str, str]) -> str:
    with start(checkout, sys.executable, "-m", "flows.deploy", **environment) as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return output


def eventually(asked: Callable[[], Any], what: str) -> Any:
    """Return what `asked` says as soon as it is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if answer := asked():
            return answer
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {PATIENCE} s")


def ended(client: Any, run: Any) -> Any:
    """Return the final state of a flow run once it has one."""
    return eventually(
        lambda: (state := client.read_flow_run(run.id).state) and state.is_final() and state, f"an end of {run.name}"
    )


def served_as(client: Any, name: str) -> list[Any]:
    """Return the deployments of that name that belong to no pool."""
    return [found for found in client.read_deployments() if found.name == name and found.work_pool_name is None]


def slots_taken(client: Any) -> int:
    limits = client.request("POST", "/v2/concurrency_limits/filter", json={}).json()
    return sum(int(limit["active_slots"]) for limit in limits)


def test_what_is_registered_and_a_second_time_changes_nothing(
    checkout: Path, environment: dict[str, str], server: Any, deployed: None
) -> None:
    train, refresh = (server.read_deployment_by_name(f"{name}/{name}") for name in ("train", "refresh"))
    for deployment in (train, refresh):
        assert deployment.work_pool_name == "stillhouse" and "stillhouse" in deployment.tags
        assert deployment.global_concurrency_limit.limit == 1
        assert deployment.concurrency_options.collision_strategy.value == "ENQUEUE"
        (step,) = deployment.pull_steps
        assert step == {"prefect.deployments.steps.set_working_directory": {"directory": str(checkout)}}
    forms = {
        name: field["type"] for name, field in train.parameter_openapi_schema["properties"].items() if "type" in field
    }
    assert forms == {"force": "boolean", "pull": "boolean", "push": "boolean"}
    choice = refresh.parameter_openapi_schema["properties"]["on_drift"]
    assert choice["enum"] == ["train", "stop"] and "another kind" in choice["description"]
    (schedule,) = refresh.schedules
    assert (schedule.active, schedule.schedule.cron, schedule.schedule.timezone) == (False, "0 3 * * *", "UTC")

    server.update_deployment_schedule(refresh.id, schedule.id, active=True)
    deploy(checkout, environment)
    again = server.read_deployment_by_name("refresh/refresh")
    assert again.id == refresh.id and [(s.id, s.active) for s in again.schedules] == [(schedule.id, True)]
    assert sorted(each.name for each in server.read_deployments()) == ["refresh", "score", "train"]
    server.update_deployment_schedule(refresh.id, schedule.id, active=False)


def test_a_run_by_hand_then_by_the_clock_trains_once(checkout: Path, server: Any, worker: Callable[[], int]) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    worker()
    refresh = server.read_deployment_by_name("refresh/refresh")
    by_hand = server.create_flow_run_from_deployment(refresh.id)
    assert ended(server, by_hand).is_completed() and done(checkout, TRAIN) == 1

    (schedule,) = refresh.schedules
    server.update_deployment_schedule(refresh.id, schedule.id, active=True, schedule=CronSchedule(cron="* * * * *"))
    switched_on = time.monotonic()
    by_clock = eventually(
        lambda: [run for run in server.read_flow_runs() if run.auto_scheduled and run.state.is_running()], "a cron run"
    )[0]
    assert time.monotonic() - switched_on < 150  # a minute, and the time that a process takes to begin beside others
    server.update_deployment_schedule(refresh.id, schedule.id, active=False)
    assert ended(server, by_clock).name == "Unchanged" and done(checkout, TRAIN) == 1


def test_a_worker_that_was_killed_is_replaced_and_no_slot_stays_taken(
    checkout: Path, server: Any, worker: Callable[[], int]
) -> None:
    """First it alone: its run goes on without it. Then its run as well, as where a machine or a container goes down."""
    train = server.read_deployment_by_name("train/train")
    harvest(checkout, "apples", [*APPLES, "sleep 600", "sleep 600"])
    first = worker()
    lost = server.create_flow_run_from_deployment(train.id)
    at_work = eventually(lambda: [found for found in processes_in(checkout) if "toy.train" in found], "a stage")
    os.kill(first, signal.SIGKILL)
    time.sleep(2)
    assert at_work == [found for found in processes_in(checkout) if "toy.train" in found]
    (engine,) = [int(found.split()[0]) for found in processes_in(checkout) if "prefect.engine" in found]
    os.kill(engine, signal.SIGKILL)
    eventually(lambda: not [found for found in processes_in(checkout) if "toy.train" in found], "the stage's end")
    assert server.read_flow_run(lost.id).state.is_running() and slots_taken(server) == 1

    harvest(checkout, "apples", [*APPLES, "mended"])
    worker()
    found = server.create_flow_run_from_deployment(train.id)
    assert ended(server, found).is_completed() and "mended" in (checkout / "models/sentiment.txt").read_text()
    assert server.read_flow_run(lost.id).state.is_crashed() and slots_taken(server) == 0


def test_a_run_that_a_worker_took_and_never_began_gives_its_slot_back(
    checkout: Path, environment: dict[str, str], server: Any, deployed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken here without a worker, which leaves what a SIGKILL between taking and beginning does."""
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.states import Pending

    from flows import crashes

    monkeypatch.chdir(checkout)
    train = server.read_deployment_by_name("train/train")
    taken = server.create_flow_run_from_deployment(train.id)
    server.set_flow_run_state(taken.id, Pending())
    assert slots_taken(server) == 1
    with temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}):
        crashes.close_crashed_runs()
        assert server.read_flow_run(taken.id).state.is_pending() and slots_taken(server) == 1  # it may yet begin
        monkeypatch.setattr(crashes, "TIME_TO_BEGIN", timedelta(0))
        crashes.close_crashed_runs()
    assert server.read_flow_run(taken.id).state.is_crashed() and slots_taken(server) == 0


def test_one_process_serves_everything_and_leaves_the_switches(
    checkout: Path, environment: dict[str, str], server: Any, deployed: None
) -> None:
    refresh = server.read_deployment_by_name("refresh/refresh")
    (schedule,) = refresh.schedules
    server.update_deployment_schedule(refresh.id, schedule.id, active=True)
    theirs = server.create_deployment(refresh.flow_id, "somebody else's")
    with start(checkout, sys.executable, "-m", "flows.serve", **environment) as process:
        try:
            [served] = eventually(lambda: served_as(server, "refresh"), "a deployment without a pool")
            state = ended(server, server.create_flow_run_from_deployment(served.id))
        finally:
            process.terminate()
        output, _ = process.communicate(timeout=PATIENCE)
    assert state.is_completed(), output
    assert process.returncode in (0, -signal.SIGTERM), output
    assert not [found for found in processes_in(checkout) if "flows.serve" in found or "prefect.engine" in found]
    assert served.work_pool_name is None and served.parameters == {"on_drift": "train"}
    assert served.global_concurrency_limit.limit == 1
    assert [(s.slug, s.active, s.schedule.cron) for s in served.schedules] == [("nightly", True, "0 3 * * *")]
    names = ["refresh", "score", "somebody else's", "train"]
    assert sorted(each.name for each in server.read_deployments()) == names
    server.delete_deployment(theirs)
    deploy(checkout, environment)
    assert server.read_deployment_by_name("refresh/refresh").work_pool_name == "stillhouse"


def test_without_a_server_all_say_so_in_one_line(checkout: Path, environment: dict[str, str]) -> None:
    away = environment | {"PREFECT_API_URL": "http://user:hidden@127.0.0.1:1/api"}
    for module in ("deploy", "worker", "serve"):
        with start(checkout, sys.executable, "-m", f"flows.{module}", **away) as process:
            output, _ = process.communicate(timeout=PATIENCE)
        expected = f"{module}: http://127.0.0.1:1/api: no server of Prefect's answers, expected the one of `make ui`"
        assert process.returncode == 2 and output.startswith(expected) and "hidden" not in output
