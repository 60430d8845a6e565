"""`stillhouse verify` and `stillhouse lineage`: from a version back to its data, and from data to the versions."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline import tracking
from pipeline.cli.answers import answer, fail
from pipeline.drivers import dvc, environment
from pipeline.files import InputError
from pipeline.registry.sightings import sightings
from pipeline.registry.verification import verify

SHOWN = 8  # digits of a hash: enough to tell them apart and to look one up, and a row fits 80 columns


def verify_version(reference: str) -> int:
    """Print the chain behind NAME@ALIAS or NAME/VERSION; return 0 where every link holds, else 1 with a line for each.

    Raises InputError for a reference that names no version.
    """
    with tracking.connected() as mlflow:
        version = _version(mlflow, reference)
        checked = verify(mlflow, version, cache_folder())
    table = Table(title=f"{version.name}/{version.version}", title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True, min_width=6)
    table.add_column("link", overflow="fold", min_width=38)  # the longest path of the default job
    for heading in ("hash", "found in"):
        table.add_column(heading)
    for row in checked:
        table.add_row("BROKEN" if row.problem else "ok", row.link, row.recorded[:SHOWN], row.where)
    Console(highlight=False, markup=False).print(table)
    broken = [row for row in checked if row.problem]
    answer({"version": f"{version.name}/{version.version}", "whole": not broken, "links": [*map(asdict, checked)]})
    for row in broken:
        print(f"stillhouse: {row.link}: BROKEN, {row.problem}", file=sys.stderr)
    return 1 if broken else 0


def show_sightings(digits: str) -> int:
    """Print the versions that saw the data with this hash; return 1 with a line where none did.

    Raises InputError for what is no hash.
    """
    with tracking.connected() as mlflow:
        found = sightings(mlflow, digits, cache_folder())
    if not found:
        fail(f"{digits}: no registered version saw data with this hash")
        return 1
    table = Table("version", "aliases", "decision", "saw it as", box=None, padding=(0, 2, 0, 0))
    answer({"versions": [_sighting(version, links) for version, links in found]})
    for version, links in found:
        table.add_row(
            f"{version.name}/{version.version}",
            ", ".join(f"@{alias}" for alias in version.aliases),
            version.tags.get("stillhouse.decision", ""),
            ", ".join(links),
        )
    Console(highlight=False, markup=False).print(table)
    return 0


def _sighting(version: Any, links: list[str]) -> dict[str, Any]:
    decision = version.tags.get("stillhouse.decision")
    return {
        "version": f"{version.name}/{version.version}",
        "aliases": list(version.aliases),
        "decision": decision,
        "saw_it_as": list(links),
    }


def _version(mlflow: ModuleType, reference: str) -> Any:
    client = mlflow.MlflowClient()
    name, separator, which = reference.partition("@" if "@" in reference else "/")
    if not (name and which):
        raise InputError(f"{reference}: expected NAME@ALIAS or NAME/VERSION, such as sentiment@champion")
    get = client.get_model_version_by_alias if separator == "@" else client.get_model_version
    try:
        # a version found by its alias comes without its aliases
        return client.get_model_version(name, get(name, which).version)
    except mlflow.exceptions.MlflowException as error:
        found = str(error).removeprefix(f"{error.error_code}: ")
        raise InputError(f"{reference}: {found}, expected a version in {mlflow.get_tracking_uri()}") from None


def cache_folder() -> Path:
    """Return the folder of DVC's cache, which its settings may put anywhere."""
    asked = subprocess.run(dvc("cache", "dir"), env=environment(), capture_output=True, text=True)
    if asked.returncode:
        raise InputError(f"{Path.cwd()}: no project of DVC, expected the folder in which `make run` was called")
    return Path(asked.stdout.strip())
