"""Point 7: two checkouts that share a registry take turns, and neither a kill nor a sleep loses a move."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.registry import registry_lock as lock_module
from pipeline.registry.registry_lock import BEAT, HOLDER, LockLostError, RegistryLock, registry_lock
from pipeline.tracking import connect
from tests.trust.four_versions import NAME, aliases, client, decide, lines, roll_back
from tests.trust.registered_project import ROOT
from tests.trust.test_07_promotion_log_kills import MOVE

LOCK = f"{NAME}.lock"
MOVES = """
import sys, time
from pathlib import Path
from pipeline import tracking
from pipeline.registry.promotions import promotions_of
mlflow = tracking.connect()
Path("ready").touch()
while len(list(Path("..").glob("*/ready"))) < 2:
    time.sleep(0.001)
for turn in range(2):
    with promotions_of(mlflow, "sentiment") as promotions:
        for version in sys.argv[1:]:
            promotions.decide(mlflow.MlflowClient().get_model_version("sentiment", version),
                              '{"alias": "champion", "reason": "better", "evidence": {}}')
"""


def models() -> list[str]:
    return sorted(model.name for model in client().search_registered_models())


def start(checkout: Path, program: str, *words: str) -> subprocess.Popen[str]:
    checkout.mkdir(exist_ok=True)
    search = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": search}
    command = [sys.executable, "-c", program, *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=checkout, env=environment, stdout=pipe, stderr=pipe, text=True)


def test_two_checkouts_at_once_lose_no_line(folder: Path) -> None:
    decide(1)
    with start(folder / "one", MOVES, "2", "3") as first, start(folder / "two", MOVES, "4", "1") as second:
        for process in (first, second):
            errors = process.communicate()[1]
            assert process.returncode == 0, errors
    found = [(line["to"], line["by"]) for line in lines()]
    assert {by for _, by in found} == {"gate"}  # nobody found an alias that was not where the log has it
    turns = [(found[place][0], found[place + 1][0]) for place in range(1, 9, 2)]
    assert sorted(turns) == [(2, 3)] * 2 + [(4, 1)] * 2
    assert aliases() == {"champion": found[-1][0]}
    assert models() == [NAME]


def test_what_a_kill_in_another_checkout_left_is_taken_over_when_it_was_silent_for_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(1)
    with start(folder / "one", MOVE, "MlflowClient.set_registered_model_alias") as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert models() == [NAME, LOCK]
    monkeypatch.setattr(lock_module, "SECONDS_OF_SILENCE", 1.0)
    assert [line["to"] for line in lines()] == [1, 2]
    assert "is at work in the registry; waiting" in capsys.readouterr().out
    assert aliases() == {"champion": 2}
    assert models() == [NAME]


WAIT = """
from pathlib import Path
from pipeline import tracking
from pipeline.registry import registry_lock
registry_lock.SECONDS_OF_SILENCE = 5.0
with registry_lock.registry_lock(tracking.connect().MlflowClient(), "sentiment", Path(".stillhouse"), "another"):
    pass
"""


def test_a_holder_that_beats_is_waited_for_however_long_it_takes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "SECONDS_BETWEEN_BEATS", 0.2)
    with registry_lock(client(), NAME, folder / "one", "somebody"):
        process = start(folder / "two", WAIT)
        assert process.stdout is not None
        assert process.stdout.readline() == f"{NAME}: somebody is at work in the registry; waiting\n"
        time.sleep(8.0)
        assert process.poll() is None
        assert int(client().get_registered_model(LOCK).tags[BEAT]) > 0
    with process:
        assert process.wait() == 0


def test_a_holder_that_slept_while_another_took_its_place_moves_nothing(folder: Path) -> None:
    from pipeline.registry.promotions import promotions_of

    decide(1)
    decide(2)
    with promotions_of(connect(), NAME) as asleep:
        other = RegistryLock(client(), NAME, folder / "note", "another")
        other._take_from(asleep.lock.holder)
        other.acquire()
        with pytest.raises(LockLostError, match=f"^{NAME}: another process works on it"):
            asleep.roll_back("it answers badly")
        assert aliases() == {"champion": 2}
    assert models() == [NAME, LOCK, f"{LOCK}.{asleep.lock.holder}"]  # the other one's, which it does not give back
    other.release()
    assert models() == [NAME]
    assert roll_back()["to"] == 1


def test_a_silent_holder_is_replaced_once_however_many_find_it_silent(folder: Path) -> None:
    client().create_registered_model(LOCK, tags={HOLDER: "gone"})
    first, second = (RegistryLock(client(), NAME, folder / note, note) for note in ("one", "two"))
    first._take_from("gone")
    first.acquire()
    second._take_from("gone")  # it had found the same silence, and comes too late
    assert client().get_registered_model(LOCK).tags[HOLDER] == first.holder
    first.release()
    assert models() == [NAME]
