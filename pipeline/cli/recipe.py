"""`stillhouse use RECIPE.yaml`: another params.yaml, without losing edits of the one that stands there."""

import subprocess
from pathlib import Path

from pipeline.cli.answers import answer
from pipeline.cli.preflight import check_project
from pipeline.cli.raw_data import bring, find_files, raw_data, track, what_to_get
from pipeline.drivers import RECIPE_TIMINGS, record_seconds
from pipeline.files import InputError, write_text
from pipeline.params import load_params

PARAMS = Path("params.yaml")


def use_recipe(recipe: Path, data: Path | None, force: bool) -> None:
    """Make `recipe` the params.yaml, and copy the files that it reads from `data`, a file or folder, to data/raw/.

    Without `data`, says what is missing there. Raises InputError where the recipe is wrong, edits would be lost or
    `data` lacks a file; nothing has changed then.
    """
    check_project()
    wanted = raw_data(load_params(recipe))
    refuse_to_lose_edits(force)
    if data is not None:
        bring(find_files(wanted, data))
        for item in wanted:
            track(item.path)
    write_text(PARAMS, recipe.read_text(encoding="utf-8"))
    record_seconds(RECIPE_TIMINGS.get(recipe.stem, {}))  # the time left that the first run shows
    missing = [item for item in wanted if item.missing()]
    print(f"params.yaml is now {recipe}; " + ("it lacks data:" if missing else "`make run` does the rest"))
    for item in missing:
        print(what_to_get(item, recipe))
    answer({"params": str(recipe), "missing": [str(file) for item in missing for file in item.missing()]})


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
