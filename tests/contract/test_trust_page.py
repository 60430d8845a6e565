"""Every numbered promise of docs/trust.md names tests that are there, and every test there belongs to a promise."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_promises_and_tests_name_each_other() -> None:
    promises = re.findall(r"(?m)^\| (\d+) \| .* \| (.*) \|$", (ROOT / "docs/trust.md").read_text(encoding="utf-8"))
    assert [int(number) for number, _ in promises] == list(range(1, 13))
    named = [(f"test_{int(number):02d}_", file) for number, files in promises for file in re.findall("`(.*?)`", files)]
    here = {file for prefix, file in named if file.startswith(prefix)}
    assert here == {path.name for path in (ROOT / "tests/trust").glob("test_*.py")}
    assert all((ROOT / file).is_file() for _, file in named if "/" in file)
