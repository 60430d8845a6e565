"""`stillhouse use RECIPE.yaml`: another params.yaml, without losing edits of the one that stands there."""

import subprocess
from pathlib import Path

from pipeline.cli.preflight import check_project
from pipeline.files import InputError, write_text
from pipeline.params import load_params

PARAMS = Path("params.yaml")


def use_recipe(recipe: Path, force: bool) -> None:
    """Make `recipe` the params.yaml; raise InputError where it is wrong or uncommitted edits would be lost."""
    load_params(recipe)
    replace_params(recipe.read_text(encoding="utf-8"), force)
    print(f"params.yaml is now {recipe}; `make run` does the rest")


def replace_params(text: str, force: bool) -> None:
    """Write params.yaml; raise InputError where that loses edits that stand neither in git nor in recipes/."""
    check_project()
    if not force and not _kept_elsewhere():
        raise InputError("params.yaml: has edits that are not committed, expected none; commit them or add --force")
    write_text(PARAMS, text)


def _kept_elsewhere() -> bool:
    here = PARAMS.read_bytes()
    if any(recipe.read_bytes() == here for recipe in Path("recipes").glob("*.yaml")):
        return True
    return subprocess.run(["git", "diff", "--quiet", "HEAD", "--", PARAMS], capture_output=True).returncode == 0 and (
        subprocess.run(["git", "ls-files", "--error-unmatch", PARAMS], capture_output=True).returncode == 0
    )
