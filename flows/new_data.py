"""New data, taken into a copy of the project first: only what passes validation there reaches the project itself.

DVC removes what a stage has made before it runs it. In the project a dataset that fails would so take the last good one
with it. What the copy's stages make stays in the cache that both share, and the project's stages find it there.
"""

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.dag import run_dvc, run_stages
from flows.graph import Node, read_graph, read_sources, read_stage_names, share_cache
from flows.stage import Session
from pipeline.files import replacing
from pipeline.params import read_yaml
from pipeline.project_copy import NEW_DATA, copy_files, files_in, known_files

CHECKS = "validate@"


@dataclass(frozen=True)
class NewData:
    """What the copy of the project holds. nodes: what led to the validated datasets there, each after its upstreams."""

    nodes: list[Node]
    fetched: list[Path]
    changed: bool


def check_new_data(session: Session) -> NewData:
    """Fetch what is new and validate all datasets, in a copy; how the stages ended is in `session.results`.

    fetched: the imports of which there is another version now. changed: a dataset has other rows than in the project.
    The copy stays in NEW_DATA. Raises CommandError where an import cannot be fetched.
    """
    targets = [name for name in read_stage_names() if name.startswith(CHECKS)]
    _copy_project(targets)
    with contextlib.chdir(NEW_DATA):
        imports = [node for node in read_graph(targets) if node.imported]
        for node in imports:
            run_dvc(session, "update", node.name)
        nodes = run_stages(targets, session)
    fetched = [Path(node.name) for node in imports if _differs(Path(node.name))]
    there, here = (_outputs(folder / "dvc.lock", targets) for folder in (NEW_DATA, Path()))
    return NewData(nodes, fetched, there != here)


def take_over(data: NewData) -> None:
    """Bring the imports that were fetched into the project, and forget the copy.

    The data come first and then the file by which DVC tracks them: after a kill in between they are fetched again.
    """
    imported = {Path(node.name): node.imported for node in data.nodes if node.imported}
    for tracked_by in data.fetched:
        for path in (imported[tracked_by], tracked_by):
            with replacing(path) as draft:
                if (NEW_DATA / path).is_dir():
                    shutil.copytree(NEW_DATA / path, draft)
                else:
                    shutil.copyfile(NEW_DATA / path, draft)
    shutil.rmtree(NEW_DATA)


def _copy_project(targets: Sequence[str]) -> None:
    if NEW_DATA.exists():
        shutil.rmtree(NEW_DATA)
    settings = Path(".dvc/config.local")
    files = {*known_files(), *([settings] if settings.is_file() else [])}
    copy_files(files.union(*map(files_in, read_sources(targets))), NEW_DATA)
    share_cache(NEW_DATA)


def _differs(path: Path) -> bool:
    return path.read_bytes() != (NEW_DATA / path).read_bytes()


def _outputs(lock: Path, targets: Sequence[str]) -> dict[str, Any]:
    stages = read_yaml(lock).get("stages", {}) if lock.is_file() else {}
    return {name: stages.get(name, {}).get("outs") for name in targets}
