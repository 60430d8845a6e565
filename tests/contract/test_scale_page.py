"""docs/scale.md shows what benchmarks/scale.py computes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tables_are_the_scripts() -> None:
    script = [sys.executable, str(ROOT / "benchmarks/scale.py")]
    *table, figures = subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "\n".join(table) in (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    assert figures.startswith("{")
