"""An ordered map in this process, and one line where Ray is asked for and not there; Ray's own are in tests/cluster."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engine import map_in_order
from pipeline.files import InputError

ROOT = Path(__file__).parents[2]


def test_a_part_is_taken_when_its_result_is_asked_for() -> None:
    taken: list[int] = []
    results = map_in_order(lambda part: part * part, (taken.append(part) or part for part in range(3)), engine="local")
    assert taken == []
    assert (next(results), taken) == (0, [0])
    assert (list(results), taken) == ([1, 4], [0, 1, 2])


def test_ray_that_is_not_installed_is_one_line_that_says_how_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError) as error:
        list(map_in_order(abs, [1], engine="ray"))
    line = "engine: ray is not installed, expected `python -m pip install --no-deps -r constraints-ray.txt` before"
    assert str(error.value) == line


def test_what_runs_in_one_process_does_without_ray() -> None:
    ask = "import sys; from pipeline.engine import map_in_order; list(map_in_order(abs, [1], engine='local')); "
    subprocess.run([sys.executable, "-c", ask + "assert 'ray' not in sys.modules"], check=True, cwd=ROOT)
