"""Where a student comes from: content hashes of everything behind it, and the revision of the code."""

import os
import subprocess
from pathlib import Path

from pipeline.files import content_hash, sha256_of_file


def hashes(paths: dict[str, Path]) -> dict[str, str]:
    """Return the content hash of each named file or folder."""
    return {name: content_hash(path) for name, path in paths.items()}


def code_revision() -> str:
    """Return the git commit of the working tree, with `-dirty` when tracked files differ, or `unknown` without git."""
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # a read must not touch the index while others use it
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, env=quiet)
        tracked = ["git", "status", "--porcelain", "--untracked-files=no"]
        status = subprocess.run(tracked, capture_output=True, text=True, check=True, env=quiet)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    changed = [line for line in status.stdout.splitlines() if not line.endswith(("dvc.lock", ".json", ".csv"))]
    return commit.stdout.strip() + ("-dirty" if changed else "")


def tags(found: dict[str, str]) -> dict[str, str]:
    """Return lineage as MLflow tags: one per link, the code revision, the hashes of params.yaml and dvc.yaml."""
    links = {f"stillhouse.{name}_sha256": value for name, value in found.items()}
    files = {name: Path(name) for name in ("params.yaml", "dvc.yaml") if Path(name).is_file()}
    links |= {f"stillhouse.{name.replace('.', '_')}_sha256": sha256_of_file(path) for name, path in files.items()}
    return links | {"stillhouse.code": code_revision()}
