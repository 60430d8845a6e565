"""A checkpoint is complete or it does not exist."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.training import checkpoints


def _write(folder: Path, step: int) -> None:
    with checkpoints.saving(folder, step) as checkpoint:
        (checkpoint / "weights").write_bytes(b"x" * step)


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) is None
    for step in (1, 2, 3):
        _write(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000002", "step-000000003"]
    assert checkpoints.newest(tmp_path) == tmp_path / "step-000000003"


@pytest.mark.parametrize("damage", ["no marker", "short file", "lost file", "broken marker"])
def test_half_written_ones_are_skipped_and_removed(tmp_path: Path, damage: str) -> None:
    _write(tmp_path, 4)
    _write(tmp_path, 5)
    broken = tmp_path / "step-000000005"
    if damage == "no marker":
        (broken / checkpoints.MARKER).unlink()
    elif damage == "short file":
        (broken / "weights").write_bytes(b"xx")
    elif damage == "lost file":
        (broken / "weights").unlink()
    else:
        (broken / checkpoints.MARKER).write_text("{")
    assert checkpoints.newest(tmp_path) == tmp_path / "step-000000004"
    assert not broken.exists()


def test_an_error_while_saving_leaves_the_earlier_one(tmp_path: Path) -> None:
    _write(tmp_path, 1)
    with pytest.raises(OSError, match="no space"), checkpoints.saving(tmp_path, 2) as checkpoint:
        (checkpoint / "weights").write_bytes(b"x")
        raise OSError("no space")
    assert checkpoints.newest(tmp_path) == tmp_path / "step-000000001"


def test_the_work_folder_is_keyed_and_goes_when_the_work_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="killed"), checkpoints.work_folder("pretrain", {"seed": 1}) as folder:
        (folder / "file").touch()
        raise ValueError("killed")
    with checkpoints.work_folder("pretrain", {"seed": 2}) as other:
        assert other != folder
    with checkpoints.work_folder("pretrain", {"seed": 1}) as again:
        assert again == folder
        assert (again / "file").exists()
    assert not folder.exists()


def test_two_processes_never_train_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    holder = (
        "import sys; from pipeline.training.checkpoints import work_folder\n"
        "with work_folder('finetune', {'seed': 1}):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == b"held\n"
        monkeypatch.setattr(checkpoints, "LOCK_TIMEOUT_SECONDS", 0.1)
        with pytest.raises(RuntimeError, match="another process"), checkpoints.work_folder("finetune", {"seed": 1}):
            pass
        process.stdin.close()
    with checkpoints.work_folder("finetune", {"seed": 1}):
        pass
