"""Where a student comes from: content hashes of everything behind it, and the revision of the code."""

import os
import subprocess
from pathlib import Path

from pipeline.files import content_hash, sha256_of_file

PROJECT_FILES = ("params.yaml", "dvc.yaml", "dvc.lock")


def hashes(paths: dict[str, Path]) -> dict[str, str]:
    """Return the content hash of each named file or folder."""
    return {name: content_hash(path) for name, path in paths.items()}


def code_revision() -> str:
    """Return the git commit of the working tree, `unknown` without git.

    With `-dirty` when tracked files differ, or when there is code that git has not been told of: DVC hashed it as well.
    """
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # a read must not touch the index while others use it
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, env=quiet)
        listed = ["git", "status", "--porcelain", "--untracked-files=all"]
        status = subprocess.run(listed, capture_output=True, text=True, check=True, env=quiet)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    lines = [line for line in status.stdout.splitlines() if not line.endswith(("dvc.lock", ".json", ".csv"))]
    changed = [line for line in lines if not line.startswith("?? ") or line.startswith("?? pipeline/")]
    return commit.stdout.strip() + ("-dirty" if changed else "")


def project_files() -> dict[str, str]:
    """Return the texts that say how a student came about; dvc.lock grows while other stages end, so it is read once."""
    return {name: Path(name).read_text(encoding="utf-8") for name in PROJECT_FILES if Path(name).is_file()}


def tags(paths: dict[str, Path], found: dict[str, str]) -> dict[str, str]:
    """Return lineage as MLflow tags: place and hash of each link, the code revision, hashes of the project's files."""
    links = {f"stillhouse.{name}_sha256": value for name, value in found.items()}
    links |= {f"stillhouse.{name}_path": path.as_posix() for name, path in paths.items()}
    files = {name: Path(name) for name in ("params.yaml", "dvc.yaml") if Path(name).is_file()}
    links |= {f"stillhouse.{name.replace('.', '_')}_sha256": sha256_of_file(path) for name, path in files.items()}
    return links | {"stillhouse.code": code_revision()}
