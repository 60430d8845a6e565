"""A run that is killed and started again ends with the bytes of one that was not."""

import subprocess
import sys
from pathlib import Path

import pytest

# one process imports the libraries and forks the three runs: whole, killed, and the killed one started again
SCRIPT = """
import json, os, shutil, signal, sys
from pathlib import Path
import numpy as np, torch
from pipeline.architectures import bert
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.masking import Masking
from pipeline.params import ArchitectureParams, OptimizationParams, RuntimeParams
from pipeline.tokenization.shards import ShardedRows, growing_shards
from pipeline.training import checkpoints, runtime, trainer
from pipeline.training.snapshots import save_tensors, tensors_of

parent, kind = Path(sys.argv[1]), sys.argv[2]
rows, order = np.random.default_rng(0).integers(0, 50, size=(40, 16)).astype(np.uint16), None
storage = dict(url=f"file://{parent}/storage", megabytes=0.0004, window=2)  # 8 rows
if kind == "shards":
    with growing_shards(parent / "shards.json", (16,), rows.dtype, **storage) as append:
        append(rows)

def run(folder, killed_at):
    global rows, order
    if kind == "shards":
        rows = ShardedRows(parent / "shards.json", storage["url"], folder / "cache")
        order = rows.batches
    settings = RuntimeParams(seed=3, threads=1, precision="float32")
    runtime.prepare(settings)
    shape = ArchitectureParams(
        family="bert", layers=1, hidden_size=16, attention_heads=2, intermediate_size=32, max_length=16, dropout=0.1
    )
    objective = MaskedLM(Masking(mask_token_id=3, share=0.3, special=np.arange(50) < 4))
    module = objective.loss(bert.build(shape, head="masked_lm", vocabulary_size=50, pad_token_id=0))
    training = OptimizationParams(
        batch_size=8, learning_rate=1e-2, embeddings_rate=1.0, schedule="linear", warmup_share=0.1, weight_decay=0.01,
        max_gradient_norm=1.0, evaluations=3, checkpoint_minutes=1e-9,
    )
    def evaluate(module):
        return {"score": float(next(module.parameters()).abs().sum() % 1)}
    def log(record):
        if record["step"] == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
    history = trainer.train(
        module, rows, objective.collate, training=training, runtime=settings, checkpoints=folder / "work", steps=17,
        evaluate=evaluate, select=("score", "max"), log=log, order=order,
    )
    save_tensors(tensors_of(module), folder / "model.safetensors")
    (folder / "history.json").write_text(json.dumps(history, sort_keys=True))

for name, killed_at in (("whole", None), ("killed", 8), ("killed", None)):
    folder = parent / name
    folder.mkdir(exist_ok=True)
    if not (child := os.fork()):
        run(folder, killed_at)
        sys.stdout.flush()
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(name, code, flush=True)
    if code == -signal.SIGKILL:  # as if the kill had come while the newest checkpoint was written
        (sorted((folder / "work").glob("step-*"))[-1] / checkpoints.MARKER).unlink()
        shutil.rmtree(folder / "cache", ignore_errors=True)  # nor does it need the shards that were fetched
"""


@pytest.mark.parametrize("kind", ["array", "shards"])
def test_killed_and_resumed_is_the_same_run(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), kind]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    # killed at step 8 of passes of 5 steps, its checkpoint of step 7 broken: goes on from the middle of a pass
    assert done.stdout.splitlines() == ["whole 0", "killed -9", "train  goes on from step 6", "killed 0"]
    for name in ("model.safetensors", "history.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
