"""A disk that is too small is named before training; one that fills up in mid-save costs nothing that was there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.architectures import bert
from pipeline.cli.leftovers import free_leftovers, leftovers
from pipeline.distillation.intermediate import State
from pipeline.distillation.teacher_cache import cached_outputs
from pipeline.distillation.teacher_outputs import TeacherOutputs
from pipeline.files import InputError, content_hash, explain, write_json
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.masking import Masking
from pipeline.params import ArchitectureParams, OptimizationParams, RuntimeParams
from pipeline.tokenization import shards
from pipeline.tokenization.ragged import TokenRows
from pipeline.training import checkpoints, runtime, trainer
from pipeline.training.snapshots import tensors_of
from tests.trust.whole_project import ROOT

SHAPE = ArchitectureParams(
    family="bert", layers=1, hidden_size=32, attention_heads=2, intermediate_size=64, max_length=16, dropout=0.1
)
TRAINING = OptimizationParams(
    batch_size=8,
    learning_rate=1e-2,
    embeddings_rate=1.0,
    schedule="linear",
    warmup_share=0.1,
    weight_decay=0.01,
    max_gradient_norm=1.0,
    evaluations=1,
    checkpoint_minutes=1e-9,
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte: three checkpoints of the model below have room on it, and not much more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("may not mount a disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def train(folder: Path, log: Any = lambda record: None, *, width: int = 32) -> dict[str, torch.Tensor]:
    settings = RuntimeParams(seed=3, threads=1, precision="float32")
    runtime.prepare(settings)
    shape = SHAPE.model_copy(update={"hidden_size": width})
    objective = MaskedLM(Masking(mask_token_id=3, share=0.3, special=np.arange(50) < 4))
    module = objective.loss(bert.build(shape, head="masked_lm", vocabulary_size=50, pad_token_id=0))
    rows = np.random.default_rng(0).integers(0, 50, size=(40, 16)).astype(np.uint16)
    trainer.train(
        module, rows, objective.collate, training=TRAINING, runtime=settings, checkpoints=folder, steps=12, log=log
    )
    return tensors_of(module)


def test_a_shortage_is_said_before_the_first_step(disk: Path) -> None:
    seen: list[Any] = []
    with pytest.raises(InputError, match=r"disk/work: 1 MB free on its disk, expected 5 MB for checkpoints"):
        train(disk / "work", seen.append, width=128)
    assert not seen and not list((disk / "work").iterdir())


def test_what_a_teachers_layers_say_has_to_fit_where_it_is_kept(disk: Path) -> None:
    """Three states of 2,000 tokens, 128 numbers of two bytes each."""
    shape = SHAPE.model_copy(update={"hidden_size": 128})
    teacher = bert.build(shape, head="text_classification", vocabulary_size=50, pad_token_id=0)
    rows = TokenRows.from_rows([[2, 5, 6, 7, 3]] * 400, [0] * 400, np.dtype(np.uint16))

    def ask(folder: Path, keep_states: bool) -> TeacherOutputs:
        return cached_outputs(
            {"train": rows}, lambda: teacher, folder=folder, inputs={}, dtype=torch.float32, keep_states=keep_states,
            states=[State("hidden_states", 1), State("queries", 1), State("keys", 1)],
        )["train"]  # fmt: skip

    cache = disk / "teacher_cache"
    with pytest.raises(InputError, match=r"teacher_cache: 1 MB free on its disk, expected 2 MB for what the teacher's"):
        ask(cache, keep_states=True)
    assert not list(cache.iterdir())
    assert np.array_equal(ask(cache, keep_states=False).logits, ask(disk.parent / "roomy", keep_states=True).logits)


def test_a_disk_that_fills_up_in_mid_save_loses_nothing(disk: Path, tmp_path: Path) -> None:
    work, filler = disk / "work", disk / "filler"

    def fill(record: dict[str, Any]) -> None:
        if record["step"] == 7:
            stat = os.statvfs(disk)
            filler.write_bytes(bytes((stat.f_bavail - 4) * stat.f_bsize))

    with pytest.raises(Exception) as caught:
        train(work, fill)
    assert explain(caught.value)[0] == 2, explain(caught.value)
    assert (kept := checkpoints.newest(work)) is not None and kept.name == "step-000000006"

    filler.unlink()
    resumed, whole = train(work), train(tmp_path / "whole")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("dvc.yaml", "params.yaml", ".dvc/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


def test_clean_frees_what_nothing_needs_and_says_so_first(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needed, freed = [], []
    for learning_rate in (1e-3, 2e-3):  # two starts of a stage with other parameters, both interrupted
        with pytest.raises(KeyboardInterrupt), checkpoints.work_folder("pretrain", {"rate": learning_rate}) as work:
            write_json(work / "state.json", {})
            os.utime(work, (learning_rate, learning_rate))
            raise KeyboardInterrupt
        needed.append(work)
    freed.append(needed.pop(0))
    with pytest.raises(KeyboardInterrupt), checkpoints.work_folder("finetune-sentiment", {}) as work:
        raise KeyboardInterrupt
    write_json(work / checkpoints.KEY, {"code": "other", "runtime": runtime.fingerprint()})
    freed.append(work)
    (project / "models/sentiment/teacher").mkdir(parents=True)
    teachers = {"needed": content_hash(project / "models/sentiment/teacher"), "gone": "0" * 64}
    for name, teacher in teachers.items():
        entry = Path(".stillhouse/teacher_cache") / name
        write_json(entry / "complete.json", {"key": {"inputs": {"teacher": teacher}}})
        (needed if name == "needed" else freed).append(entry)
    ended = subprocess.run([sys.executable, "-c", PRINT_IDENTITY], cwd=ROOT, capture_output=True, text=True, check=True)
    draft = project / f"data/.rows.{ended.stdout.strip()}.{'0' * 32}.partial"
    draft.parent.mkdir()
    draft.write_bytes(bytes(3_000_000))
    freed.append(draft.relative_to(project))
    shards.CACHE.mkdir()
    freed.append(shards.CACHE)
    scratch = draft.with_suffix(".scratch")
    scratch.mkdir()
    (scratch / "rows.arrow").write_bytes(bytes(1000))
    freed.append(scratch.relative_to(project))

    with pytest.raises(InputError, match="expected --yes"):
        free_leftovers(agreed=False)
    shown = capsys.readouterr().out
    assert all(str(path) in shown for path in freed) and not any(str(path) in shown for path in needed)
    assert "3.0 MB" in shown and all(path.exists() for path in freed)

    with checkpoints.work_folder("finetune-sentiment", {}):  # another process at work in one of them
        (project / "busy").write_text("")
        busy = subprocess.run(
            [sys.executable, "-m", "pipeline.cli", "clean", "--yes"],
            cwd=project, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        )  # fmt: skip
        assert busy.returncode == 0, busy.stderr
        assert freed[1].exists() and not freed[0].exists()
    free_leftovers(agreed=True)
    assert not any(path.exists() for path in freed) and all(path.exists() for path in needed)
    assert not list(leftovers())


PRINT_IDENTITY = "from pipeline.processes import identity; print(identity())"
