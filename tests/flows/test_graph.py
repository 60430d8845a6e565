"""The graph is DVC's own, and the canonical lock differs from DVC's in order and leftovers only."""

import re
from pathlib import Path

import pytest

from flows.graph import read_graph, write_canonical_lock
from pipeline.files import InputError
from tests.flows.conftest import run


def test_edges_are_those_of_dvc_dag(toy: Path) -> None:
    dot = run("-m", "dvc", "dag", "--dot", folder=toy).stdout
    edges = {(before, after) for before, after in re.findall(r'"(.+?)" -> "(.+?)"', dot)}
    nodes = read_graph()
    assert {(upstream, node.name) for node in nodes for upstream in node.upstreams} == edges
    assert [node.name for node in nodes if not node.upstreams] == ["seed.txt.dvc"]
    assert {node.name: node.threads for node in nodes}["reap"] == 2
    assert {node.name: node.description for node in nodes}["sow@left"] == "the left branch"


def test_targets_bring_their_upstreams_and_nothing_else(toy: Path) -> None:
    assert [node.name for node in read_graph(["grow@left"])] == ["seed.txt.dvc", "sow@left", "grow@left"]
    with pytest.raises(InputError, match="nowhere"):
        read_graph(["nowhere"])


def test_what_changed_reaches_all_that_follows(toy: Path) -> None:
    run("-m", "dvc", "repro", folder=toy)
    assert [node.name for node in read_graph() if node.changed] == []
    (toy / "sow-left.txt").unlink()
    assert [node.name for node in read_graph() if node.changed] == ["sow@left", "grow@left", "reap"]


def test_canonical_lock_restores_order_and_forgets_removed_stages(toy: Path) -> None:
    run("-m", "dvc", "repro", folder=toy)
    lock = toy / "dvc.lock"
    serial = lock.read_bytes()
    header, *blocks = re.split(r"(?m)^  (?=\S)", serial.decode())
    assert len(blocks) == 5
    gone = blocks[0].replace("sow@left:", "gone:")
    lock.write_text(header + "".join("  " + block for block in [*reversed(blocks), gone]))
    write_canonical_lock()
    assert lock.read_bytes() == serial
