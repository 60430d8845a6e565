"""The rows that a registered version was trained on, wherever they still lie."""

from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.params import read_yaml
from pipeline.registry.copies import Copy, in_cache, in_folder

ROWS = "stillhouse.rows_path"  # of a version: where its validated rows lay


def trained_on(mlflow: ModuleType, version: Any, cache: Path) -> Copy | None:
    """Return the validated rows behind `version`, MLflow's ModelVersion, from DVC's `cache` or the workspace.

    None where the version does not say which they were, or none of their bytes is here any more.
    """
    path = version.tags.get(ROWS)
    lock = Path(mlflow.artifacts.download_artifacts(run_id=version.run_id)) / "dvc.lock" if version.run_id else None
    if path is None or lock is None or not lock.is_file():
        return None
    outs = [out for stage in read_yaml(lock).get("stages", {}).values() for out in stage.get("outs", [])]
    md5 = next((out["md5"] for out in outs if out["path"] == path), None)
    copies = [in_cache(cache, md5), in_folder("workspace", Path(), path)] if md5 else []
    return next((copy for copy in copies if copy and copy.md5() == md5), None)
