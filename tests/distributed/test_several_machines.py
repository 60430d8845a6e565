"""docs/how-to/several-machines.md on one machine: its variables and its command, two agents that meet on loopback."""

import re
import socket
from pathlib import Path

import pytest

from tests.distributed.training_project import COMMAND, HISTORY, PRETRAINED, ROOT, make_project, run, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def exports() -> list[dict[str, str]]:
    """Return the variables of each machine as the page has them, the first machine being this one at a free port."""
    page = (ROOT / "docs/how-to/several-machines.md").read_text(encoding="utf-8")
    assert f"    {COMMAND}\n" in page
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    lines = re.findall(r"^    export (.+)$", page.replace("first.example:29400", address), re.MULTILINE)
    return [dict(variable.split("=") for variable in line.split()) for line in lines]


def test_two_machines_train_as_two_processes_of_one(tmp_path: Path) -> None:
    """Each has a folder of its own; the first one's gets what a single machine writes, the other's nothing."""
    names = ("together", "first", "second")
    together, first, second = (make_project(tmp_path / name, distributed="ddp", processes=2) for name in names)
    run(together)
    machines = [start(folder, **variables) for folder, variables in zip((first, second), exports(), strict=True)]
    printed = [machine.communicate(timeout=600)[0] for machine in machines]

    assert [machine.returncode for machine in machines] == [0, 0], printed
    assert "dev loss" in printed[0] and not printed[1]
    for name in (PRETRAINED, HISTORY):
        assert (first / name).read_bytes() == (together / name).read_bytes()
    assert [path for name in ("models/pretrained", "reports", "mlflow.db") if (path := second / name).exists()] == []


def test_machines_with_other_data_stop(tmp_path: Path) -> None:
    first, second = (make_project(tmp_path / name, distributed="ddp", processes=2) for name in ("first", "second"))
    (second / "data/tokens/corpus/other").touch()
    machines = [start(folder, **variables) for folder, variables in zip((first, second), exports(), strict=True)]
    printed = [machine.communicate(timeout=600)[0] for machine in machines]
    line = "pretrain: its inputs, params.yaml or code differ between the machines, expected the same on all"
    assert [(machine.returncode, text.splitlines()[-1]) for machine, text in zip(machines, printed, strict=True)] == [
        (2, f"pretrain: {line}")
    ] * 2
