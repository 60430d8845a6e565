"""`stillhouse score` as a process: killed in the middle it goes on, as a flow it says what came of it."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.drivers import environment
from pipeline.params import load_params
from pipeline.scoring.batch import score
from pipeline.scoring.scorer import Scorer
from pipeline.training import checkpoints
from tests.flows.conftest import PROJECT
from tests.registered_students import make_champion, register_student, registry_in
from tests.tiny_students import save_label_student

ROWS = 5_000  # five shards: time to kill a run between them


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a champion, entered, and a file of ROWS rows, every fourth of them blank."""
    root = tmp_path_factory.mktemp("project")
    with registry_in(root) as mlflow, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PROJECT))
        shutil.copy(PROJECT / "params.yaml", root)
        save_label_student(root / "student")
        register_student(mlflow, "sentiment", root / "student")
        make_champion(mlflow, "sentiment")
        lines = [f"{row},{'in new york ' * (row % 4)}\n" for row in range(ROWS)]
        (root / "rows.csv").write_text("id,text\n" + "".join(lines))
        yield root


def start(out: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pipeline.cli", "score", "rows.csv", out]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished_shards() -> list[Path]:
    return sorted(checkpoints.FOLDER.glob("score@sentiment-*/[0-9]*"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_in_the_middle_goes_on_and_ends_with_the_same_bytes(project: Path) -> None:
    killed = start("out.csv")
    while not finished_shards():
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.02)
    killed.kill()
    killed.communicate()
    kept = {shard.name: (shard / "answered").stat().st_mtime_ns for shard in finished_shards()}
    assert 1 <= len(kept) < 5 and not Path("out.csv").exists()

    resumed = start("out.csv")
    seen: dict[str, int] = {}
    while resumed.poll() is None:
        for shard in finished_shards():
            try:
                seen[shard.name] = (shard / "answered").stat().st_mtime_ns
            except FileNotFoundError:  # the run has ended meanwhile
                continue
        time.sleep(0.1)
    said = resumed.communicate()[0]
    assert resumed.returncode == 0, said
    assert f"out.csv: {ROWS * 3 // 4:,} rows answered by sentiment/1, {ROWS // 4:,} set aside in" in said
    assert {name: seen[name] for name in kept} == kept

    threads = load_params(Path("params.yaml")).runtime.threads
    score(Scorer("sentiment", threads), Path("rows.csv"), Path("whole.csv"))
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert Path("out.set_aside.jsonl").read_bytes() == Path("whole.set_aside.jsonl").read_bytes()
    assert not finished_shards()


@pytest.mark.slow
def test_the_flow_says_what_came_of_it(project: Path, prefect_server: str) -> None:
    from flows import score as flow

    Path("few.csv").write_text("id,review\n1,in new york\n2,\n")
    state = flow.score("few.csv", "few.out.csv", text="review", return_state=True)
    assert state.is_completed() and state.message.startswith("few.out.csv: 1 rows answered by sentiment/1, 1 set aside")
    assert Path("few.out.csv").read_text().startswith("id,review,label,score,model\n1,in new york,")
    sha256 = hashlib.sha256(Path("few.csv").read_bytes()).hexdigest()
    Path("list.sha256").write_text(f"{sha256}  few.csv\n")
    urls: dict[str, Any] = {"source_url": f"file://{project}", "out_url": f"file://{project}/answered"}
    state = flow.score("list.sha256", "out.sha256", text="review", **urls, return_state=True)
    assert state.is_completed() and state.message.startswith("out.sha256: 1 rows answered by sentiment/1, 1 set aside")
    assert Path("answered/few.csv").read_bytes() == Path("few.out.csv").read_bytes()
    state = flow.score("none.csv", "none.out.csv", return_state=True)
    assert (state.name, state.message) == ("Bad input", "none.csv: no such file, expected rows")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_the_number_of_rows(project: Path) -> None:
    peaks = []
    for rows in (5_000, 50_000):
        Path("many.csv").write_text("id,text\n" + "".join(f"{row},{'in new york ' * 20}\n" for row in range(rows)))
        command = [sys.executable, "-m", "pipeline.cli", "score", "many.csv", "many.out.csv"]
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss)
    assert peaks[1] < 1.05 * peaks[0], peaks
