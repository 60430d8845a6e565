"""The stages behind the tasks as a graph: what reads what stands in dvc.lock, what each did the driver says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.files import InputError
from pipeline.outcomes import read_outcomes
from pipeline.params import read_yaml

WORDS = {"restored": "from the cache"}  # of outcomes that do not speak for themselves


class Stage(NamedTuple):
    """A stage, those right before it, what it did in this run, and its layer: how many stages are yet to come."""

    name: str
    upstreams: list[str]
    outcome: str
    layer: int


def read_stages(lock: Path, closing: Sequence[str], further: Mapping[str, Sequence[Path]]) -> list[Stage]:
    """Return the stages that lead to the `closing` ones, each after its upstreams.

    `further` says what a stage reads that may not stand in the lock yet. An upstream that another one needs as well is
    left out, as the way leads through that one.
    """
    import networkx

    stages = _locked(lock)
    reads = {name: [dep["path"] for dep in stage.get("deps", ())] for name, stage in stages.items()}
    reads |= {name: [path.as_posix() for path in paths] for name, paths in further.items()}
    writer = {out["path"]: name for name, stage in stages.items() for out in stage.get("outs", ())}
    graph = networkx.DiGraph()
    graph.add_nodes_from(reads)
    graph.add_edges_from(
        (writer[out], name) for name, paths in reads.items() for path in paths for out in writer if _overlap(path, out)
    )
    closing = [name for name in closing if name in graph]
    behind = set(closing).union(*(networkx.ancestors(graph, name) for name in closing))
    graph = networkx.transitive_reduction(graph.subgraph(behind))
    layers = enumerate(networkx.topological_generations(graph.reverse()))
    layer = {name: number for number, names in layers for name in names}
    outcomes = read_outcomes()
    return [
        Stage(name, sorted(graph.predecessors(name)), _in_words(outcomes.get(name)), layer[name])
        for name in networkx.lexicographical_topological_sort(graph)
    ]


def _locked(lock: Path) -> dict[str, dict[str, Any]]:
    """Return the stages of dvc.lock; none where DVC is writing it this moment, for a stage beside this one."""
    try:
        return read_yaml(lock).get("stages") or {}
    except InputError:
        return {}


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _in_words(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    outcome, seconds = WORDS.get(found["outcome"], found["outcome"]), found["seconds"]
    return f"{outcome}, {seconds:,.0f} s" if seconds >= 1 else outcome
