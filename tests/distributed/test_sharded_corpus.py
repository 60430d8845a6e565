"""Training on shards: killed, and without what it had fetched, it ends the same; two processes fetch them together."""

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import read_json
from pipeline.tokenization.shards import CACHE
from tests.distributed.test_several_machines import exports
from tests.distributed.training_project import HISTORY, PRETRAINED, into_shards, make_project, run, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
OFTEN = 0.002  # minutes between checkpoints
WINDOW = 3 * 1_800  # bytes


def project(folder: Path) -> Path:
    return into_shards(make_project(folder, dropout=0.1, checkpoint_minutes=OFTEN), f"file://{folder}/storage")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after a run that nobody killed."""
    folder = project(tmp_path_factory.mktemp("whole") / "project")
    run(folder)
    return folder


def test_killed_and_without_what_was_fetched_it_ends_the_same(whole: Path, tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    process = start(folder)
    while not any(folder.glob(".stillhouse/checkpoints/*/step-*/complete.json")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (folder / PRETRAINED).exists()
    shutil.rmtree(folder / CACHE)

    assert "goes on from step" in run(folder)
    for name in (PRETRAINED, HISTORY):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert not (folder / CACHE).exists()


def test_two_processes_share_what_they_fetch_and_two_machines_end_as_they_do(tmp_path: Path) -> None:
    url, both = f"file://{tmp_path}/storage", {"distributed": "ddp", "processes": 2}
    one = into_shards(make_project(tmp_path / "one"), url)
    two, first, second = (
        into_shards(make_project(tmp_path / name, **both), url) for name in ("two", "first", "second")
    )
    run(one)
    process, most = start(two), 0
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # a shard that is gone by the time its size is asked for
            most = max(most, sum(file.stat().st_size for file in (two / CACHE).iterdir()))
        time.sleep(0.001)
    printed = process.communicate()[0]
    assert process.returncode == 0, printed
    assert 0 < most <= WINDOW
    curves = [[record["loss"] for record in read_json(folder / HISTORY)] for folder in (one, two)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-5)

    machines = [start(folder, **variables) for folder, variables in zip((first, second), exports(), strict=True)]
    outputs = [machine.communicate(timeout=600)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    assert (first / PRETRAINED).read_bytes() == (two / PRETRAINED).read_bytes()
    assert [folder for folder in (one, two, first, second) if (folder / CACHE).exists()] == []
