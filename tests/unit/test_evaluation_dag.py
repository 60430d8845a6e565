"""The graph of the stages: an edge for what is read and written, none that others imply, the outcomes of this run."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.evaluation.dag import Stage, read_stages
from pipeline.outcomes import write_outcomes

LOCK = """\
stages:
  register@a:
    deps: [{path: reports/a/scores.json}, {path: data/rows}]
  score@a:
    deps: [{path: data}, {path: models/a/weights}, {path: code.py}]
    outs: [{path: reports/a/scores.json}]
  train@a:
    deps: [{path: data/rows/train}]
    outs: [{path: models/a}]
  ingest:
    deps: [{path: raw.csv}]
    outs: [{path: data/rows}]
  train@of_a_task_that_is_no_more:
    deps: [{path: data/rows}]
    outs: [{path: models/b}]
"""


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text(LOCK, encoding="utf-8")
    return Path("dvc.lock")


def test_a_stage_comes_after_those_whose_files_it_reads(lock: Path) -> None:
    assert read_stages(lock, ["register@a", "register@b"], {}) == [
        Stage("ingest", [], "", 3),
        Stage("train@a", ["ingest"], "", 2),
        Stage("score@a", ["train@a"], "", 1),  # it reads the rows too, a folder above them: the way is over train
        Stage("register@a", ["score@a"], "", 0),
    ]


def test_a_stage_that_never_ended_is_drawn_by_what_it_reads(lock: Path) -> None:
    stages = read_stages(lock, ["register@b"], {"register@b": [Path("models/b/weights")]})
    assert [(stage.name, stage.upstreams) for stage in stages[-1:]] == [
        ("register@b", ["train@of_a_task_that_is_no_more"])
    ]
    assert read_stages(Path("none.lock"), ["a"], {"a": []}) == [Stage("a", [], "", 0)]
    assert read_stages(lock, [], {}) == []


def test_what_a_stage_did_is_that_of_the_run_under_way(lock: Path) -> None:
    write_outcomes({"ingest": ("restored", 0.2), "train@a": ("ran", 61.4), "score@a": ("failed", 3.0)})
    did = {stage.name: stage.outcome for stage in read_stages(lock, ["register@a"], {})}
    assert did == {"ingest": "from the cache", "train@a": "ran, 61 s", "score@a": "failed, 3 s", "register@a": ""}
    code = "from pipeline.outcomes import write_outcomes; write_outcomes({'ingest': ('ran', 9.0)})"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(root)})
    assert {stage.outcome for stage in read_stages(lock, ["register@a"], {})} == {""}, "said by a driver that is gone"
