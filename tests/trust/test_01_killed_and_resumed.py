"""Killed and resumed is the same run: real stages and the whole job, SIGKILLed at random moments."""

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.files import content_hash, read_json
from pipeline.params import read_yaml
from pipeline.training.checkpoints import MARKER
from tests.processes import left_after
from tests.trust.whole_project import ENVIRONMENT, QUICK, checkout, run_quick, start_quick

KILLS = 5
GOES_ON = "goes on from step"
# what each training stage publishes, by its name in dvc.yaml
MODELS = {
    "pretrain": ["models/pretrained"],
    "finetune@sentiment": ["models/sentiment/teacher"],
    "distill@sentiment": ["models/sentiment/student", "models/sentiment/undistilled_student"],
}


@pytest.fixture(scope="module")
def saving_every_step(whole_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The finished project with parameters that make training long enough to be hit, a checkpoint after each step."""
    folder = tmp_path_factory.mktemp("killed") / "project"
    shutil.copytree(whole_run, folder)
    params = (folder / "params.yaml").read_text()
    params = re.sub("checkpoint_minutes: .*", "checkpoint_minutes: 1e-9", params)
    params = re.sub("epochs: .*", "epochs: 6", params)
    params = re.sub("max_tokens: .*", "max_tokens: 250000", params)
    (folder / "params.yaml").write_text(params)
    yield folder


def command_of(stage: str, folder: Path) -> list[str]:
    """Return the command with which DVC ran the stage."""
    words: list[str] = read_yaml(folder / "dvc.lock")["stages"][stage]["cmd"].split()
    assert words[:3] == ["exec", "python", "-m"]
    return [sys.executable, *words[2:]]


def begin(stage: str, folder: Path) -> subprocess.Popen[str]:
    """Start the stage as DVC does."""
    return subprocess.Popen(
        command_of(stage, folder), cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", MODELS)
def test_a_stage_killed_at_random_moments_ends_with_the_same_bytes(saving_every_step: Path, stage: str) -> None:
    folder, published = saving_every_step, MODELS[stage]
    with begin(stage, folder) as process:
        wait_for_checkpoint(stage, folder, process)
        first = time.monotonic()
        output, _ = process.communicate()
    span = time.monotonic() - first
    assert process.returncode == 0, output
    whole = [content_hash(folder / path) for path in published]

    shutil.rmtree(folder / ".stillhouse/teacher_cache", ignore_errors=True)
    chance, half_written, resumed = random.Random(stage), 0, 0
    for _ in range(KILLS):
        with begin(stage, folder) as process:
            wait_for_checkpoint(stage, folder, process)
            time.sleep(chance.uniform(0, span / KILLS))
            process.send_signal(signal.SIGKILL)
            output, _ = process.communicate()
        resumed += GOES_ON in output
        half_written += any(not (step / MARKER).is_file() for step in steps(stage, folder))
    with begin(stage, folder) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert [content_hash(folder / path) for path in published] == whole
    assert resumed + (GOES_ON in output) >= 2
    print(f"{stage}: {KILLS} kills, {resumed} of them after a resume, {half_written} in the middle of a save")


def wait_for_checkpoint(stage: str, folder: Path, process: subprocess.Popen[str]) -> None:
    """Return when the stage has begun a checkpoint of its own, or has ended."""
    before = steps(stage, folder)
    while not steps(stage, folder) - before and process.poll() is None:
        time.sleep(0.01)


def steps(stage: str, folder: Path) -> set[Path]:
    """Return the checkpoints that stand in the work folder of the stage, half-written ones too."""
    name = stage.replace("@", "-")
    return {path for path in (folder / ".stillhouse/checkpoints").glob(f"{name}-*/**/step-*") if path.is_dir()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_make_run_again_is_all_it_takes(source: Path, whole_run: Path, tmp_path: Path) -> None:
    """The driver is killed wherever it happens to be; the last start ends as an undisturbed run does."""
    folder, chance = checkout(source, tmp_path / "elsewhere"), random.Random(7)
    for _ in range(6):
        with start_quick(folder) as process:
            time.sleep(chance.uniform(5, 25))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert left_after(folder / QUICK, 60) == []
    run_quick(folder)
    assert (folder / QUICK / "dvc.lock").read_bytes() == (whole_run / "dvc.lock").read_bytes()
    assert not list((folder / QUICK).rglob("*.partial"))
    registered = read_json(folder / QUICK / "reports/summary.json")["tasks"]["sentiment"]["registered"]
    assert registered["aliases"] == ["champion"]
