"""A run that is killed and started again ends with the bytes of one that was not."""

import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np, torch
from pipeline.architectures import bert
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.masking import Masking
from pipeline.params import ArchitectureParams, OptimizationParams, RuntimeParams
from pipeline.training import runtime, trainer
from pipeline.training.snapshots import save_tensors, tensors_of

folder = Path(sys.argv[1])
settings = RuntimeParams(seed=3, threads=1, precision="float32")
runtime.prepare(settings)
shape = ArchitectureParams(
    family="bert", layers=1, hidden_size=16, attention_heads=2, intermediate_size=32, max_length=16, dropout=0.1
)
objective = MaskedLM(Masking(mask_token_id=3, share=0.3, special=np.arange(50) < 4))
module = objective.loss(bert.build(shape, head="masked_lm", vocabulary_size=50, pad_token_id=0))
rows = np.random.default_rng(0).integers(0, 50, size=(40, 16)).astype(np.uint16)
training = OptimizationParams(
    batch_size=8, learning_rate=1e-2, schedule="linear", warmup_share=0.1, weight_decay=0.01, max_gradient_norm=1.0,
    evaluations=3, checkpoint_minutes=1e-9,
)
def evaluate(module):
    return {"score": float(next(module.parameters()).abs().sum() % 1)}
def log(record):
    print(record["step"], flush=True)
history = trainer.train(
    module, rows, objective.collate, training=training, runtime=settings, checkpoints=folder / "work", steps=17,
    evaluate=evaluate, select=("score", "max"), log=log,
)
save_tensors(tensors_of(module), folder / "model.safetensors")
(folder / "history.json").write_text(json.dumps(history, sort_keys=True))
"""


def _start(folder: Path) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], stdout=subprocess.PIPE, text=True)


def _kill_at_step(step: int, process: subprocess.Popen[str]) -> None:
    assert process.stdout
    for line in process.stdout:
        if line.split()[0] == str(step):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_killed_and_resumed_is_the_same_run(tmp_path: Path) -> None:
    whole, killed = _start(tmp_path / "whole"), _start(tmp_path / "killed")
    _kill_at_step(8, killed)  # in the middle of the second pass over the rows
    checkpoints = sorted((tmp_path / "killed" / "work").glob("step-*"))
    assert checkpoints
    (checkpoints[-1] / "complete.json").unlink(missing_ok=True)  # as if the kill had come while it was written
    resumed = _start(tmp_path / "killed")
    output, _ = resumed.communicate(timeout=60)
    assert "goes on from step" in output
    whole.communicate(timeout=60)
    assert whole.returncode == resumed.returncode == 0
    for name in ("model.safetensors", "history.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


def test_a_stage_ends_when_its_parent_dies(tmp_path: Path) -> None:
    child = (
        "import time; from pipeline.training.checkpoints import die_with_parent\n"
        "die_with_parent(); print('ready', flush=True); time.sleep(60)"
    )
    parent = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); child.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        orphan = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 10
    while _runs(orphan) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(orphan)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
