"""However a stage or a driver ends, MLflow and Prefect say so, and no process and no lock is left."""

import contextlib
import json
import shutil
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.processes import left_after
from tests.trust.orchard import plant, read_until, start

# The kernel's out-of-memory killer sends SIGKILL, so `killed` is that too; `no_memory` is where the allocation fails.
# With RLIMIT_FSIZE a write fails as on a full disk: `no_room` has room for MLflow's database, `full` for nothing.
STAGE = """\
import os, resource, signal, time
from pathlib import Path
from pipeline.files import replacing, write_text
from pipeline.params import Params
from pipeline.stages.command import main

def raised():
    raise ValueError("the loss is nan")

def terminated():
    os.kill(os.getpid(), signal.SIGTERM)

def killed():
    with replacing(Path("out/killed")) as draft:
        draft.write_text("half of it")
        os.kill(os.getpid(), signal.SIGKILL)

def no_memory():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))
    chunks = [bytearray(2**22) for _ in range(1000)]

def no_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**22, 2**22))
    write_text(Path("out/no_room"), "x" * 2**23)

def full():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    write_text(Path("out/full"), "x" * 2**23)

def slow():
    time.sleep(300)

def run(params: Params, *, dataset: str, out: Path) -> None:
    from pipeline.stage_run import stage_run
    work = Path(".stillhouse/work") / dataset
    work.mkdir(parents=True, exist_ok=True)
    with stage_run(f"end@{dataset}", {}, work) as shown:
        shown.log({"step": 1, "split": "train", "loss": 1.0})
        began = time.monotonic()
        while not (work / "run.json").exists() and time.monotonic() < began + 60:
            time.sleep(0.05)
        print(f"{dataset} at work", flush=True)
        if dataset != "well" and not Path("mended").exists():
            globals()[dataset]()
        write_text(out, dataset)

if __name__ == "__main__":
    main(run)
"""

DVC_YAML = """\
stages:
  end:
    foreach: [{}]
    do:
      cmd: exec python -m toy.end --dataset ${{item}} --out out/${{item}}
      outs: ["out/${{item}}"]
"""
ENDINGS = {
    "well": "FINISHED",
    "raised": "FAILED",
    "terminated": "KILLED",
    "no_memory": "FAILED",
    "no_room": "FAILED",
    "killed": "KILLED",
    "full": "KILLED",
}
AT_THE_NEXT_START = {"killed", "full"}
DRIVERS = {
    "flow": [sys.executable, "-m", "flows.train"],
    "stillhouse run": [sys.executable, "-m", "pipeline.cli", "run"],
    "make run": ["make", "run"],
    "dvc repro": [sys.executable, "-m", "dvc", "repro"],
}
PREFECT_HOME = ".stillhouse/prefect"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with such stages and MLflow's database, which takes seconds to create."""
    folder = plant(tmp_path_factory.mktemp("states") / "checkout")
    (folder / "toy/end.py").write_text(STAGE)
    (folder / "Makefile").write_text(f"run:\n\t@{sys.executable} -m pipeline.cli run\n")
    with start(folder, sys.executable, "-c", "from pipeline.tracking import connect; connect()") as process:
        process.communicate()
    return folder


@pytest.fixture
def checkout(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "checkout"))


def statuses(checkout: Path) -> dict[str, str]:
    """Return what MLflow says of each stage's run."""
    with contextlib.closing(sqlite3.connect(checkout / "mlflow.db")) as database:
        rows = database.execute("SELECT name, status FROM runs").fetchall()
    assert len(rows) == len(dict(rows)), f"a stage has several runs: {rows}"
    return {name.removeprefix("end@"): status for name, status in rows}


def prefect_says(checkout: Path) -> list[tuple[str, dict[str, str]]]:
    """Return the state of each flow run in its order, and of its tasks by the stage's name."""
    with contextlib.closing(sqlite3.connect(checkout / PREFECT_HOME / "prefect.db")) as database:
        runs = database.execute("SELECT id, state_type FROM flow_run ORDER BY created").fetchall()
        tasks = "SELECT name, state_type FROM task_run WHERE flow_run_id = ?"
        return [(state, dict(database.execute(tasks, [run]).fetchall())) for run, state in runs]


def assert_nothing_left(checkout: Path) -> None:
    """No process is left, nothing of DVC's in use, nobody in the driver's lock."""
    assert left_after(checkout, 15) == []
    assert not any(json.loads((checkout / ".dvc/tmp/rwlock").read_text()).values())
    lock = checkout / ".stillhouse/run.lock"
    assert not lock.exists() or lock.read_text() == ""


@pytest.mark.slow
def test_every_ending_is_told_to_mlflow_and_prefect(checkout: Path) -> None:
    (checkout / "dvc.yaml").write_text(DVC_YAML.format(", ".join(ENDINGS)))
    with start(checkout, *DRIVERS["flow"], PREFECT_HOME=PREFECT_HOME) as flow:
        output, _ = flow.communicate(timeout=120)
    assert flow.returncode == 2, output  # room is what the user can see to
    [(state, tasks)] = prefect_says(checkout)
    assert state == "FAILED"
    assert tasks == {f"end@{name}": "COMPLETED" if name == "well" else "FAILED" for name in ENDINGS}
    told = {name: status for name, status in ENDINGS.items() if name not in AT_THE_NEXT_START}
    assert told.items() <= statuses(checkout).items()
    assert_nothing_left(checkout)

    (checkout / "mended").touch()
    with start(checkout, sys.executable, "-m", "dvc", "repro", "--single-item", "end@killed") as process:
        assert process.communicate(timeout=60) and process.returncode == 0
    assert statuses(checkout) == ENDINGS | {"killed": "FINISHED"}
    assert list(checkout.rglob("*.partial")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
@pytest.mark.parametrize(
    ("driver", "number"),
    [
        ("stillhouse run", signal.SIGTERM),
        ("stillhouse run", signal.SIGKILL),
        pytest.param("flow", signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("flow", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("make run", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("make run", signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("dvc repro", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("dvc repro", signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_with_its_driver_a_stage_ends_and_says_so(checkout: Path, driver: str, number: signal.Signals) -> None:
    """Of a driver that is killed nobody is left to end the stage or to tell Prefect: the next one does the latter."""
    (checkout / "dvc.yaml").write_text(DVC_YAML.format("slow"))
    with start(checkout, *DRIVERS[driver], PREFECT_HOME=PREFECT_HOME) as process:
        read_until(process, "slow at work")
        process.send_signal(number)
        process.communicate(timeout=60)
    assert left_after(checkout, 15) == []  # a flow's server has to go as well
    assert statuses(checkout) == {"slow": "KILLED"}
    if driver == "flow" and number == signal.SIGTERM:
        assert prefect_says(checkout) == [("CRASHED", {"end@slow": "FAILED"})]

    (checkout / "mended").touch()
    with start(checkout, *DRIVERS[driver], PREFECT_HOME=PREFECT_HOME) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    if driver == "flow" and number == signal.SIGKILL:
        told = [("CRASHED", {"end@slow": "CRASHED"}), ("COMPLETED", {"end@slow": "COMPLETED"})]
        assert prefect_says(checkout) == told
    assert statuses(checkout) == {"slow": "FINISHED"}
    assert_nothing_left(checkout)
