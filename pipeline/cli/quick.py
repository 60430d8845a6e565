"""`stillhouse quick`: a copy of the project's code with parameters scaled down, a DVC project of its own.

What belongs to the user stays as it is: params.yaml, dvc.lock, MLflow's database, models. The copy is kept, so a
second run only does what a change asks for.
"""

import os
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.cli.preflight import check_project
from pipeline.drivers import SHIPPED_TIMINGS, TIMINGS
from pipeline.files import replacing, write_json, write_text
from pipeline.params import Params, check_params, load_params, read_yaml
from pipeline.project_copy import QUICK, copy_files, files_in, known_files
from pipeline.smoke import at_smoke_scale

CODE = ("pipeline", "flows", "dvc.yaml", ".dvcignore", ".dvc/config", ".dvc/plots", "constraints.txt", "data/held_out")


def enter_quick_copy(recipe: Path) -> None:
    """Bring the copy up to date with the project and `recipe`, and make it the current folder."""
    check_project()
    load_params(recipe)
    values = at_smoke_scale(read_yaml(recipe))
    params = check_params(values, recipe)
    _mirror(known_files(*CODE) + _data(params))
    with replacing(QUICK / "params.yaml") as draft:
        YAML().dump(values, draft)  # the plain dumper keeps the order of the keys, the safe one sorts them
    write_text(QUICK / ".dvc/config.local", "[core]\n    no_scm = true\n")
    if not (QUICK / TIMINGS).is_file():
        write_json(QUICK / TIMINGS, SHIPPED_TIMINGS["quick"])
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # smoke models go to the copy's own database
    os.chdir(QUICK)


def _data(params: Params) -> list[Path]:
    """Return the files that datasets and first weights lie in."""
    names = {dataset.path for dataset in params.datasets.values()} | {params.init_from.path}
    return [file for name in names for file in files_in(Path(name))]


def _mirror(files: list[Path]) -> None:
    for folder in ("pipeline", "flows"):
        for old in (QUICK / folder).rglob("*.py"):
            if old.relative_to(QUICK) not in files:
                old.unlink()
    copy_files(files, QUICK)
