"""Which registered versions saw some data, told by its hash."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.files import InputError
from pipeline.params import read_yaml
from pipeline.registry.chain import Link, walk_back
from pipeline.registry.copies import in_cache, in_folder
from pipeline.registry.verification import NAMED

MODELS = 1000  # as many as MLflow lists in one answer
DIGITS = re.compile(r"[0-9a-f]{6,64}")


def sightings(mlflow: ModuleType, digits: str, cache: Path) -> list[tuple[Any, list[str]]]:
    """Return (ModelVersion, links) for each version that rests on data whose md5 or sha256 begins with `digits`.

    Raises InputError where `digits` is no hash or fewer than six digits of one.
    """
    wanted = digits.lower().removesuffix(".dir")
    if not DIGITS.fullmatch(wanted):
        raise InputError(f"{digits}: expected an md5 or sha256, whole or its first six digits or more")
    client = mlflow.MlflowClient()
    found = []
    for model in client.search_registered_models(max_results=MODELS):
        versions = client.search_model_versions(f"name = '{model.name}'")
        for version in sorted(versions, key=lambda version: int(version.version)):
            seen = _hashes(mlflow, version, cache)
            links = sorted({name for name, value in seen if value.startswith(wanted)})
            if links:
                found.append((client.get_model_version(version.name, version.version), links))
    return found


def _hashes(mlflow: ModuleType, version: Any, cache: Path) -> list[tuple[str, str]]:
    """Return (link, hash) for everything a version rests on, by DVC's md5 and, where it is known, by sha256."""
    tags = version.tags
    named = [(tags.get(f"stillhouse.{name}_path", name), tags.get(f"stillhouse.{name}_sha256", "")) for name in NAMED]
    if not version.run_id:  # made by hand on MLflow's page
        return named
    lock = Path(mlflow.artifacts.download_artifacts(run_id=version.run_id)) / "dvc.lock"
    if not lock.is_file():
        return named
    chain = walk_back(read_yaml(lock), [path for path, _ in named])
    links = [(link.path, link.md5) for link in chain.links.values()]
    raw = [(link.path, sha256) for link in chain.links.values() if (sha256 := _raw_sha256(link, cache))]
    outside = [
        (f"{section.get('package', 'hub')}: {section.get('file') or section.get('folder') or section['name']}", value)
        for section in chain.from_outside()
        if (value := section.get("sha256") or section.get("revision"))
    ]
    return named + links + raw + outside


def _raw_sha256(link: Link, cache: Path) -> str | None:
    """Return the sha256 of what no stage wrote, which dvc.lock has no word of, where its bytes are here."""
    if link.producer:
        return None
    for copy in (in_folder("workspace", Path(), link.path), in_cache(cache, link.md5)):
        if copy and copy.md5() == link.md5:
            return copy.sha256()
    return None
