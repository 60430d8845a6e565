"""dvc.yaml as nodes and edges, what changed, and the canonical dvc.lock: the only import of dvc.

`dvc.repo.Repo.index.graph` is internal to DVC: its version is pinned, and a test compares the edges with `dvc dag`.
`python -m flows.graph` writes the canonical lock.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvc.config import Config
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro
from dvc.stage import PipelineStage, Stage
from dvc.utils.serialize import load_yaml, modify_yaml

from pipeline.files import InputError, replacing


class BusyError(Exception):
    """Somebody else's DVC is at work on the files; the message is DVC's own, with a line for each."""


@dataclass(frozen=True)
class Node:
    """A stage of dvc.yaml, or a file that `dvc add` or `dvc import` tracks.

    changed: it did, or anything before it. always_changed: it runs every time. imported: the path that an import
    fetches, None for everything else.
    """

    name: str
    description: str
    threads: int
    upstreams: tuple[str, ...]
    changed: bool
    always_changed: bool
    imported: Path | None


def read_graph(targets: Sequence[str] = ()) -> list[Node]:
    """Return the nodes that `targets` need (all without targets), each after its upstreams.

    Raises InputError where a target names no stage or dvc.yaml cannot be read, BusyError where others use its files.
    """
    try:
        repo = Repo(_wait_for_lock=True)
        graph = repo.index.graph
        wanted = [stage for target in targets for stage in repo.stage.collect(target)]
        stages = plan_repro(graph, wanted)
        changed = set(repo.status())
    except LockError as error:
        raise BusyError(str(error)) from None
    except DvcException as error:
        raise InputError(f"dvc.yaml: {' '.join(str(error).split())}") from None
    nodes: list[Node] = []
    for stage in stages:
        upstreams = tuple(upstream.addressing for upstream in graph.successors(stage))  # edges point to dependencies
        if changed.intersection(upstreams):
            changed.add(stage.addressing)
        nodes.append(
            Node(
                name=stage.addressing,
                description=stage.desc or "",
                threads=(stage.meta or {}).get("threads", 1),
                upstreams=upstreams,
                changed=stage.addressing in changed,
                always_changed=stage.always_changed,
                imported=Path(os.path.relpath(stage.outs[0].fs_path)) if stage.is_import else None,
            )
        )
    return nodes


def read_stage_names() -> list[str]:
    """Return the stages of dvc.yaml in its order, without the files that `dvc add` tracks."""
    return _stage_names(Repo(_wait_for_lock=True))


def check_remote() -> None:
    """Raise InputError unless DVC knows where to pull its cache from and to push it to."""
    if not Repo(_wait_for_lock=True).config["core"].get("remote"):
        raise InputError(".dvc/config: no default remote, expected one that `dvc remote add --default NAME URL` names")


def read_sources(targets: Sequence[str]) -> list[Path]:
    """Return the files and folders that `targets` and what they need read and none of them writes.

    With those that `dvc add` and `dvc import` track come the files by which DVC tracks them.
    """
    repo = Repo(_wait_for_lock=True)
    stages = plan_repro(repo.index.graph, [stage for target in targets for stage in repo.stage.collect(target)])
    return sorted({Path(os.path.relpath(path)) for stage in stages for path in _sources(stage)})


def _sources(stage: Stage) -> Iterator[str]:
    if isinstance(stage, PipelineStage):
        made = {Path(out.fs_path) for other in stage.repo.index.stages for out in other.outs}
        read = [Path(dep.fs_path) for dep in stage.deps]
        yield from (str(path) for path in read if made.isdisjoint([path, *path.parents]))
    else:
        yield from (stage.path, *(out.fs_path for out in stage.outs))


def share_cache(copy: Path) -> None:
    """Let `copy`, a copy of this project without its git repository, keep what it makes in this project's cache."""
    cache = Repo(_wait_for_lock=True).cache.local_cache_dir
    with Config(dvc_dir=str(copy / ".dvc")).edit("local") as settings:
        settings.setdefault("core", {})["no_scm"] = True
        settings.setdefault("cache", {})["dir"] = cache


def _stage_names(repo: Repo) -> list[str]:
    return [stage.name for stage in repo.index.stages if isinstance(stage, PipelineStage)]


def write_canonical_lock() -> None:
    """Make dvc.lock hold exactly the stages of dvc.yaml, in its order.

    DVC appends what ran last and never forgets a removed stage. Written as DVC writes it and under its repository
    lock, so that apart from order and leftovers no byte changes.
    """
    repo = Repo(_wait_for_lock=True)
    lock = Path(repo.root_dir) / "dvc.lock"
    with repo.lock:
        if not lock.is_file():
            return
        found = list(load_yaml(lock).get("stages", {}))
        wanted = [name for name in _stage_names(repo) if name in found]
        if found == wanted:
            return
        with replacing(lock) as draft:
            shutil.copy(lock, draft)
            with modify_yaml(draft) as contents:
                contents["stages"] = {name: contents["stages"][name] for name in wanted}


if __name__ == "__main__":
    write_canonical_lock()
