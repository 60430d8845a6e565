"""Point 7: a kill between log and alias is put in order, two writers lose nothing, what was left does not come back."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.registry.gate import Decision
from pipeline.registry.promotion_log import PENDING
from pipeline.registry.promotions import DECISION, decision_text
from tests.stages.tiny_project import save_model, save_tokenizer
from tests.trust.four_versions import NAME, VERSIONS, aliases, client, decide, enter, lines, log_file, roll_back
from tests.trust.registered_project import ROOT, register_student

MOVE = """
import os, signal, sys
from pipeline import tracking
from pipeline.registry.gate import Decision
from pipeline.registry.promotions import decision_text, promotions_of
mlflow, place = tracking.connect(), sys.argv[1]
def end(frame, event, argument):
    if event == "call" and frame.f_code.co_qualname == place:
        os.kill(os.getpid(), signal.SIGKILL)
with promotions_of(mlflow, "sentiment") as promotions:
    version = mlflow.MlflowClient().get_model_version("sentiment", "2")
    sys.setprofile(end)
    promotions.decide(version, decision_text(Decision("champion", "better", {"rows": 20})))
"""
PLACES = {  # the call before which the process dies: what the next start makes of it
    "LogFile.write_evidence": 1,
    "MlflowClient.set_registered_model_tag": 1,
    "LogFile.write": 2,
    "head_of": 2,
    "MlflowClient.set_registered_model_alias": 2,
    "MlflowClient.delete_registered_model_tag": 2,
}


def python(program: str, *words: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", program, *words], env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_anywhere_in_a_move_is_put_in_order_by_the_next_start(folder: Path, place: str) -> None:
    decide(1)
    with python(MOVE, place) as process:
        errors = process.communicate()[1]
    assert process.returncode == -signal.SIGKILL, errors
    if place == "MlflowClient.set_registered_model_alias":  # the line is written, the alias is not moved
        assert [json.loads(row)["to"] for row in log_file(folder).read_text().splitlines()] == [1, 2]
        assert aliases() == {"champion": 1}
    expected = PLACES[place]
    assert [line["to"] for line in lines()] == list(range(1, expected + 1))
    assert aliases() == {"champion": expected}
    assert PENDING not in client().get_registered_model(NAME).tags
    decide(3)
    assert [line["to"] for line in lines()] == [*range(1, expected + 1), 3]


def test_a_hand_that_moves_the_alias_after_a_kill_has_the_last_word(folder: Path) -> None:
    decide(1)
    with python(MOVE, "MlflowClient.set_registered_model_alias") as process:
        process.communicate()
    client().set_registered_model_alias(NAME, "champion", "4")
    assert [(line["to"], line["by"]) for line in lines()] == [(1, "gate"), (2, "gate"), (4, "elsewhere")]
    assert lines()[2]["from"] == 2
    assert aliases() == {"champion": 4}


MOVES = """
import sys, time
from pathlib import Path
from pipeline import tracking
from pipeline.registry.promotions import promotions_of
mlflow = tracking.connect()
Path(f"ready-{sys.argv[1]}").touch()
while len(list(Path().glob("ready-*"))) < 2:
    time.sleep(0.001)
for turn in range(4):
    with promotions_of(mlflow, "sentiment") as promotions:
        for version in sys.argv[1:]:
            promotions.decide(mlflow.MlflowClient().get_model_version("sentiment", version),
                              '{"alias": "champion", "reason": "better", "evidence": {}}')
"""


def test_two_writers_at_once_lose_no_line(folder: Path) -> None:
    decide(1)
    with python(MOVES, "2", "3") as first, python(MOVES, "4", "1") as second:
        for process in (first, second):
            errors = process.communicate()[1]
            assert process.returncode == 0, errors
    found = [line["to"] for line in lines()]
    assert len(found) == 17
    pairs = [tuple(found[place : place + 2]) for place in range(1, 17, 2)]
    assert sorted(pairs) == [(2, 3)] * 4 + [(4, 1)] * 4


def test_a_version_that_a_kill_left_without_its_alias_gets_what_the_gate_decided(folder: Path) -> None:
    decide(1)
    run = client().create_run(client().get_experiment_by_name("stillhouse").experiment_id)
    client().log_text(run.info.run_id, decision_text(Decision("champion", "better", {"rows": 20})), DECISION)
    client().create_model_version(NAME, "s3://nowhere/model", run_id=run.info.run_id)
    assert [(line["to"], line["by"]) for line in lines()] == [(1, "gate"), (VERSIONS + 1, "gate")]
    assert aliases() == {"champion": VERSIONS + 1}
    assert roll_back()["to"] == 1
    assert [line["to"] for line in lines()] == [1, VERSIONS + 1, 1]


@pytest.fixture
def project(made_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shutil.copytree(made_project, tmp_path / "project", symlinks=True)
    enter(root, monkeypatch)
    monkeypatch.syspath_prepend(root / "site")
    return root


def other_student(root: Path, seed: int) -> None:
    from transformers import BertForSequenceClassification

    student = root / "models/sentiment/student"
    save_model(student, BertForSequenceClassification, 16, seed=seed)
    save_tokenizer(student)


REGISTER = """
import os, signal, sys
from pathlib import Path
from tests.trust.registered_project import register_student
def end(frame, event, argument):
    if event == "call" and frame.f_code.co_qualname == "Promotions.decide":
        os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(end)
register_student(Path.cwd())
"""


def test_the_champion_that_was_left_is_not_promoted_again(project: Path) -> None:
    register_student(project)
    other_student(project, seed=9)
    register_student(project)
    assert aliases() == {"champion": 2}
    roll_back()
    register_student(project)
    assert aliases() == {"champion": 1}
    assert [line["to"] for line in lines()] == [1, 2, 1]


@pytest.mark.slow
def test_a_register_that_is_killed_before_the_alias_is_healed_by_the_next(project: Path) -> None:
    with python(REGISTER) as process:
        errors = process.communicate()[1]
    assert process.returncode == -signal.SIGKILL, errors
    assert [version.version for version in client().search_model_versions(f"name = '{NAME}'")] == [1]
    assert aliases() == {}
    register_student(project)
    assert aliases() == {"champion": 1}
    assert [(line["to"], line["by"], line["why"]) for line in lines()] == [(1, "gate", "the first version")]
    assert [version.version for version in client().search_model_versions(f"name = '{NAME}'")] == [1]
