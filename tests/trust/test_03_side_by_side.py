"""Two runs on a checkout, failures and kills: what comes out is what a serial run makes of it.

That branches overlap is in tests/flows/test_train.py.
"""

import contextlib
import fcntl
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.files import content_hash
from pipeline.locks import mend_dvc_lock
from tests.processes import left_after, processes_in
from tests.trust.orchard import ROOT, TREES, plant, read_until, start

FLOW = (sys.executable, "-m", "flows.train")
RUN = (sys.executable, "-m", "pipeline.cli", "run")
REPRO = (sys.executable, "-m", "dvc", "repro")
NAMES = {FLOW: "the flow train", RUN: "stillhouse run", REPRO: "dvc/__main__.py repro"}
slow = pytest.mark.slow
RESULTS = ("sown", "grown", "reaped.txt", "dvc.lock")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which nothing has run."""
    return plant(tmp_path_factory.mktemp("orchard") / "checkout")


@pytest.fixture(scope="module")
def serial(template: Path) -> Path:
    """The same after a bare `dvc repro`, one stage after the other."""
    folder = template.with_name("serial")
    shutil.copytree(template, folder)
    assert finish(start(folder, *REPRO))[0] == 0
    return folder


@pytest.fixture
def checkout(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "checkout"))


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code and the output of a process."""
    with process:
        output, _ = process.communicate(timeout=120)
    return process.returncode, output


def assert_whole(checkout: Path, serial: Path) -> None:
    """The results are the serial run's, byte for byte; no half-written file, no process and no lock is left."""
    for name in RESULTS:
        assert content_hash(checkout / name) == content_hash(serial / name), name
    assert left_after(checkout, 15) == []
    assert [path for path in checkout.rglob("*") if path.suffix in (".partial", ".discarded", ".tmp")] == []
    assert not any(json.loads((checkout / ".dvc/tmp/rwlock").read_text()).values())
    for name in (".dvc/tmp/lock", ".dvc/tmp/rwlock.lock", ".stillhouse/run.lock"):
        with open(checkout / name) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert (checkout / ".stillhouse/run.lock").read_text() == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FLOW, FLOW),
        (RUN, FLOW),
        (REPRO, FLOW),
        pytest.param(FLOW, RUN, marks=slow),
        pytest.param(REPRO, RUN, marks=slow),
    ],
    ids=lambda command: " ".join(command[1:]),
)
def test_a_second_driver_says_who_is_at_work_and_waits(
    prefect_server: str, checkout: Path, serial: Path, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    (checkout / "seconds").write_text("2")
    with start(checkout, *first, PREFECT_API_URL=prefect_server) as earlier:
        read_until(earlier, "at work")
        with start(checkout, *second, PREFECT_API_URL=prefect_server) as later:
            assert f"{NAMES[first]}, pid {earlier.pid}" in read_until(later, "held by ")
            (checkout / "seconds").write_text("0")
            ends = finish(earlier), finish(later)
    assert [code for code, _ in ends] == [0, 0], ends
    assert_whole(checkout, serial)
    assert len((checkout / "done").read_text().split()) == len(TREES) * 2 + 1, "something was done twice"
    assert "at work" not in ends[1][1], "the second did not wait"


@pytest.mark.slow
def test_three_first_flows_at_once_share_the_database_that_prefect_creates(checkout: Path, serial: Path) -> None:
    """Each brings a temporary server of its own."""
    home = checkout / ".stillhouse/prefect"
    flows = [start(checkout, *FLOW, PREFECT_HOME=str(home)) for _ in range(3)]
    ends = [finish(flow) for flow in flows]
    assert [code for code, _ in ends] == [0, 0, 0], ends
    with contextlib.closing(sqlite3.connect(home / "prefect.db")) as database:
        assert database.execute("SELECT state_type FROM flow_run").fetchall() == [("COMPLETED",)] * 3
    assert_whole(checkout, serial)


@pytest.mark.parametrize("first", [FLOW, pytest.param(RUN, marks=slow)], ids=lambda command: " ".join(command[1:]))
def test_a_bare_repro_beside_a_driver_says_who_is_at_work_and_harms_nothing(
    prefect_server: str, checkout: Path, serial: Path, first: tuple[str, ...]
) -> None:
    """It is DVC's own, so it does not wait; what it gets hold of before the driver does, the driver waits for."""
    (checkout / "seconds").write_text("2")
    with start(checkout, *first, PREFECT_API_URL=prefect_server) as driver:
        read_until(driver, "at work")
        code, output = finish(start(checkout, *REPRO))
        (checkout / "seconds").write_text("0")
        ended = finish(driver)
    assert code == 0 or re.search(r"is busy, it is being blocked by:\n  \(PID \d+\): ", output), output
    assert ended[0] == 0, ended
    assert_whole(checkout, serial)


@pytest.mark.parametrize("left", ["broken", "of another process"])
def test_what_a_killed_dvc_left_of_its_locks_is_in_nobody_s_way(checkout: Path, serial: Path, left: str) -> None:
    """Its list of files in use half-written, or with an entry whose process number has come back for another one."""
    in_use = checkout / ".dvc/tmp/rwlock"
    with subprocess.Popen(["sleep", "100"]) as other:
        entry = {"pid": other.pid, "cmd": "/usr/bin/dvc repro"}
        in_use.write_text('{"write": {' if left == "broken" else json.dumps({"write": {f"{checkout}/sown": entry}}))
        code, output = finish(start(checkout, *REPRO))
        assert code == 255 and ("JSON structure is corrupted" in output or "is busy" in output)
        code, output = finish(start(checkout, *RUN))
        other.kill()
    assert code == 0, output
    assert_whole(checkout, serial)


@pytest.mark.parametrize("end", ["", "    deps:\n", "    deps:\n    - pa"])
@pytest.mark.parametrize("driver", [RUN, pytest.param(FLOW, marks=slow)], ids=lambda command: " ".join(command[1:]))
def test_a_kill_while_dvc_writes_its_lock_costs_what_it_had_not_written(
    prefect_server: str, checkout: Path, serial: Path, driver: tuple[str, ...], end: str
) -> None:
    """It writes `dvc.lock` in place: nothing of it is there yet, or a part that ends inside a stage."""
    shutil.copytree(serial, checkout, dirs_exist_ok=True)
    lock = checkout / "dvc.lock"
    whole = lock.read_text().partition("  grow@fir:\n")[0]
    lock.write_text(f"{whole}  grow@fir:\n    cmd: exec\n{end}" if end else "")
    (checkout / "done").unlink()
    code, output = finish(start(checkout, *REPRO))
    assert code == 255 and "dvc.lock" in output, "DVC reads it, so there is nothing to mend"
    code, output = finish(start(checkout, *driver, PREFECT_API_URL=prefect_server))
    assert code == 0, output
    assert f"dvc.lock: half-written by a process that was killed, {6 if end else 0} of its stages are whole" in output
    assert_whole(checkout, serial)
    assert not (checkout / "done").exists(), "what the cache of runs had was made anew"


def test_a_whole_lock_that_ends_with_a_parameter_of_no_value_stays(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As DVC writes it here, and as it wrote that of this repository."""
    stage = "  last:\n    cmd: echo last\n    params: [nothing]\n"
    (checkout / "dvc.yaml").write_text((checkout / "dvc.yaml").read_text() + stage)
    (checkout / "params.yaml").write_text("nothing:\n")
    assert finish(start(checkout, *REPRO, "last"))[0] == 0
    assert (checkout / "dvc.lock").read_text().endswith(":\n")
    monkeypatch.chdir(checkout)
    said: list[str] = []
    for whole in ((checkout / "dvc.lock").read_text(), (ROOT / "dvc.lock").read_text()):
        (checkout / "dvc.lock").write_text(whole)
        assert not mend_dvc_lock(said.append) and not said
        assert (checkout / "dvc.lock").read_text() == whole


@pytest.mark.slow
def test_dvc_killed_in_the_middle_of_writing_its_lock_is_in_nobody_s_way(checkout: Path, serial: Path) -> None:
    shutil.copytree(serial, checkout, dirs_exist_ok=True)
    lock, seed = checkout / "dvc.lock", checkout / "seeds/ash.txt"
    for attempt in range(20):  # a busy machine may stop this process until all is written
        seed.write_text(f"ash {attempt}")
        with start(checkout, *REPRO) as process:
            while lock.stat().st_size and process.poll() is None:
                pass
            process.kill()
        if not lock.stat().st_size:
            break
    assert lock.read_text() == "", "never hit"
    assert_a_run_makes_it_whole(checkout, serial)


@pytest.mark.slow
def test_a_flow_goes_on_whose_dvc_alone_was_killed_while_it_wrote_its_lock(
    prefect_server: str, checkout: Path, serial: Path
) -> None:
    """Of stages that are no more DVC keeps the entries: with many of them it writes for long enough to be hit."""
    lock, seed = checkout / "dvc.lock", checkout / "seeds/ash.txt"
    for attempt in range(20):
        shutil.copytree(serial, checkout, dirs_exist_ok=True)
        whole = lock.read_text()
        lock.write_text(whole + "".join(whole.partition("stages:\n")[2].replace("@", f"@{n}") for n in range(30)))
        (checkout / "done").unlink()
        seed.write_text(f"ash {attempt}")
        with start(checkout, *FLOW, PREFECT_API_URL=prefect_server) as flow:
            while lock.stat().st_size and flow.poll() is None:
                pass
            end_one(checkout, " dvc ", signal.SIGKILL, random.Random(attempt))
            code, output = finish(flow)
        assert code == 0, output
        if "half-written by a process that was killed" in output:
            break
    else:
        pytest.fail("never hit")
    assert (checkout / "done").read_text().split() == ["sown/ash.txt", "grown/ash.txt", "reaped.txt"]
    assert_a_run_makes_it_whole(checkout, serial)


def assert_a_run_makes_it_whole(checkout: Path, serial: Path) -> None:
    """It does with the seeds of the serial run."""
    shutil.copytree(serial / "seeds", checkout / "seeds", dirs_exist_ok=True)
    code, output = finish(start(checkout, *RUN))
    assert code == 0, output
    assert_whole(checkout, serial)


@pytest.mark.slow
def test_ten_flows_with_random_failures_and_kills_end_as_a_serial_run(
    prefect_server: str, checkout: Path, serial: Path
) -> None:
    """Every flow finds seeds that differ from the ones before; a kill hits it, one of its DVCs or one of its stages."""
    chance = random.Random(17)
    (checkout / "seconds").write_text("0.5")
    (checkout / "misfortune").write_text("0.15")
    kills = [(victim, number) for victim in ("flows.train", " dvc ", " toy.") for number in (9, 15)] + [None] * 4
    for kill in chance.sample(kills, len(kills)):
        for tree in chance.sample(TREES, 3):
            (checkout / f"seeds/{tree}.txt").write_text(f"{tree} {chance.random()}")
        with start(checkout, *FLOW, PREFECT_API_URL=prefect_server) as flow, ThreadPoolExecutor(1) as reader:
            ended = reader.submit(finish, flow)
            time.sleep(chance.uniform(3, 8))
            if kill:
                end_one(checkout, *kill, chance)
            code, output = ended.result()
        # -15: a SIGTERM while the interpreter ends, its handlers gone and the flow's outcome told
        assert code in (0, 1, 143, -9, -15), f"after {kill}: {output}"
        assert left_after(checkout, 15) == [], kill

    (checkout / "misfortune").write_text("0")
    for tree in TREES:
        shutil.copy(serial / f"seeds/{tree}.txt", checkout / "seeds")
    code, output = finish(start(checkout, *FLOW, PREFECT_API_URL=prefect_server))
    assert code == 0, output
    assert_whole(checkout, serial)


def end_one(checkout: Path, victim: str, number: int, chance: random.Random) -> None:
    """Send a signal to one of the processes in the checkout whose command line holds `victim`, once there is one."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := [process for process in processes_in(checkout) if victim in process]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(chance.choice(found).split()[0]), number)
            return
