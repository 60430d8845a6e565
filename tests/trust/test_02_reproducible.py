"""Reproducible to the bit: another checkout at another path and time, without a cache, ends with the same dvc.lock."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trust.whole_project import QUICK, ROOT, checkout, run_quick


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_another_checkout_gives_the_same_lock(source: Path, whole_run: Path, tmp_path: Path) -> None:
    folder = checkout(source, tmp_path / "a longer path, with spaces" / "project")
    before = os.umask(0o077)
    try:
        run_quick(folder)
    finally:
        os.umask(before)
    assert (folder / QUICK / "dvc.lock").read_bytes() == (whole_run / "dvc.lock").read_bytes()


def test_doctor_prints_what_the_result_depends_on() -> None:
    command = [sys.executable, "-m", "pipeline.cli", "doctor"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for fact in ("Python", "processor", "vector instructions", "precision", "threads", "seed", "code", "torch"):
        assert any(line.startswith(fact) for line in output.splitlines()), fact
