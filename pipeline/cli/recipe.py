"""`stillhouse use RECIPE.yaml`: another params.yaml, without losing edits of the one that stands there."""

import subprocess
from pathlib import Path

from pipeline.cli.preflight import check_project
from pipeline.files import InputError, write_text
from pipeline.params import load_params

PARAMS = Path("params.yaml")


def use_recipe(recipe: Path, force: bool) -> None:
    """Make `recipe` the params.yaml; raise InputError where it is wrong or edits would be lost."""
    check_project()
    load_params(recipe)
    refuse_to_lose_edits(force)
    write_text(PARAMS, recipe.read_text(encoding="utf-8"))
    print(f"params.yaml is now {recipe}; `make run` does the rest")


def refuse_to_lose_edits(force: bool) -> None:
    """Raise InputError where params.yaml stands neither in git's HEAD nor in recipes/, unless `force`."""
    if not (force or _is_a_recipe() or _is_committed()):
        raise InputError("params.yaml: has edits that are not committed, expected none; commit them or add --force")


def _is_a_recipe() -> bool:
    here = PARAMS.read_bytes()
    return any(recipe.read_bytes() == here for recipe in Path("recipes").glob("*.yaml"))


def _is_committed() -> bool:
    committed = subprocess.run(["git", "show", f"HEAD:./{PARAMS}"], capture_output=True)
    return committed.returncode == 0 and committed.stdout == PARAMS.read_bytes()
