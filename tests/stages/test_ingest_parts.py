"""ingest takes rows through scratch files: the same bytes whatever the parts, flat memory, nothing left by a kill."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.files import content_hash, read_json
from pipeline.params import check_params
from pipeline.sources import blocks, parquet, stored
from pipeline.stages.ingest import run

ROOT = Path(__file__).parents[2]
ROWS = Path("data/raw/rows.jsonl")
PATHS = {"path": ROWS, "held_out": Path("none.jsonl"), "out": Path("ingested/rows"), "held_out_out": Path("list.jsonl")}
# the most memory that is the process's own, of which files that it maps are no part
MEASURED = """
import sys, threading
from pathlib import Path
from pipeline.params import load_params
from pipeline.sources import stored
from pipeline.stages.ingest import run
stored.RUN_CHARACTERS, done, most = 2_000_000, threading.Event(), 0
def watch():
    global most
    while not done.wait(0.002):
        own = [line for line in open("/proc/self/status") if line.startswith("RssAnon")]
        most = max(most, int(own[0].split()[1]))
watching = threading.Thread(target=watch)
watching.start()
out = Path("ingested/rows")
run(load_params(Path("params.yaml")), dataset="rows", path=Path("data/raw/rows.jsonl"), held_out=Path("none.jsonl"),
    out=out, held_out_out=Path("list.jsonl"))
done.set()
watching.join()
print(most)
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "none.jsonl").touch()
    return tmp_path


def values(**changes: object) -> dict[str, Any]:
    whole = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    source = {"kind": "file", "format": "jsonl", "header": None, "files": None, "origin": None}
    local = {"path": str(ROWS), "source": source, "only_sources": None, "columns": {"text": "text", "label": "label"}}
    whole["datasets"] |= {"rows": whole["datasets"]["rotten_tomatoes"] | local | changes}
    return whole


def write(count: int, words: int = 12) -> None:
    """Write distinct rows, every tenth nearly the one before it."""
    chance = random.Random(0)
    names = ["".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(3000)]
    with open(ROWS, "w", encoding="utf-8") as file:
        for i in range(count):
            text = f"{text} indeed" if i % 10 == 9 else " ".join(chance.choices(names, k=words))  # noqa: F821
            file.write(json.dumps({"text": text, "label": i % 2}) + "\n")


@pytest.mark.parametrize("changes", [{}, {"labels": None, "columns": {"text": "text"}}], ids=["labelled", "raw"])
def test_parts_of_any_size_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]) -> None:
    write(300)
    params = check_params(values(**changes), Path("params.yaml"))
    run(params, dataset="rows", **PATHS)
    whole = content_hash(PATHS["out"]), content_hash(PATHS["held_out_out"])
    assert read_json(PATHS["out"] / "report.json")["removed"]
    for rows, characters in ((7, 2000), (64, 20_000)):
        for module in (blocks, parquet):
            monkeypatch.setattr(module, "BLOCK_ROWS", rows)
        monkeypatch.setattr(stored, "RUN_CHARACTERS", characters)
        run(params, dataset="rows", **PATHS)
        assert (content_hash(PATHS["out"]), content_hash(PATHS["held_out_out"])) == whole


def test_a_killed_ingest_leaves_nothing_that_counts(project: Path) -> None:
    write(20_000, words=40)
    with open("params.yaml", "w") as file:
        YAML(typ="safe").dump(values(), file)
    command = [sys.executable, "-m", "pipeline.stages.ingest", "--dataset", "rows", "--path", str(ROWS)]
    command += ["--held-out", "none.jsonl", "--out", "ingested/rows", "--held-out-out", "list.jsonl"]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 120
    while not list(Path("ingested").glob(".rows.*.scratch/rows.arrow")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not PATHS["out"].exists() and not PATHS["held_out_out"].exists()
    assert len(list(Path("ingested").iterdir())) == 1, "the scratch folder, by whose name nothing looks"
    write(300)
    run(check_params(values(), Path("params.yaml")), dataset="rows", **PATHS)
    assert [path.name for path in Path("ingested").iterdir()] == ["rows"], "the next one clears it away"


@pytest.mark.slow
@pytest.mark.parametrize("labels", [{"0": "no", "1": "yes"}, None], ids=["labelled", "raw"])
def test_memory_is_flat_in_the_training_rows(labels: dict[str, str] | None) -> None:
    """Nothing is held out here, as that is what ingest keeps; a run of rows is 2 MB, filled many times by either file.

    Half of a text's characters is what it may cost: rows held would cost them all, a row's few numbers are a fifth.
    """
    columns = {"text": "text", "label": "label"} if labels else {"text": "text"}
    with open("params.yaml", "w") as file:
        YAML(typ="safe").dump(values(labels=labels, columns=columns, split={"dev": 0.0, "test": 0.0}), file)
    most, size = [], []
    for count in (20_000, 80_000):
        write(count, words=100)  # 15 and 59 MB
        done = subprocess.run(
            [sys.executable, "-c", MEASURED],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        most.append(int(done.stdout) * 1024)
        size.append(ROWS.stat().st_size)
    assert most[1] - most[0] < (size[1] - size[0]) / 2, f"{most} bytes for files of {size}"
