"""How many processes a machine starts, and what is asked of params.yaml before any does."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.files import InputError
from pipeline.params import RuntimeParams, check_params
from pipeline.training import runtime
from pipeline.training.launching import launch
from tests.shipped_params import shipped_values

ROOT = Path(__file__).parents[2]
FOUR = RuntimeParams(seed=1, threads=1, precision="float32", distributed="ddp", processes=4)


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"PET_NNODES": "3"}, "PET_NNODES: must divide runtime.processes (4), got 3"),
        ({"PET_NNODES": "0"}, "PET_NNODES: must divide runtime.processes (4), got 0"),
        ({"PET_NNODES": "1:2"}, "PET_NNODES: must divide runtime.processes (4), got 1:2"),
        ({"PET_NNODES": "2"}, "PET_NODE_RANK: must be set where PET_NNODES is 2, found nothing"),
        (
            {"PET_NNODES": "2", "PET_NODE_RANK": "0"},
            "PET_RDZV_ENDPOINT: must be set where PET_NNODES is 2, found nothing",
        ),
    ],
)
def test_machines_that_cannot_meet_are_refused(
    variables: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(InputError) as error:
        launch(FOUR, ["pipeline.stages.pretrain"])
    assert str(error.value) == line


@pytest.mark.parametrize(
    ("values_of_runtime", "line"),
    [
        ({"processes": 2}, "processes must be 1 when distributed is none, got 2"),
        ({"distributed": "ddp"}, "processes must be > 1 when distributed is ddp, got 1"),
    ],
)
def test_processes_and_distributed_go_together(values_of_runtime: dict[str, Any], line: str) -> None:
    values = shipped_values()
    values["runtime"] |= values_of_runtime
    with pytest.raises(InputError) as error:
        check_params(values, Path("params.yaml"))
    assert line in str(error.value)


def test_what_several_processes_would_compute_otherwise_is_refused() -> None:
    several = {"distributed": "fsdp", "processes": 2}
    contrastive = YAML(typ="safe").load((ROOT / "recipes/sts-simcse.yaml").read_text())
    contrastive["runtime"] |= several
    with pytest.raises(InputError, match=r"runtime\.distributed: must be none for contrastive, got fsdp"):
        check_params(contrastive, Path("params.yaml"))
    layers = shipped_values()
    layers["runtime"] |= several
    distill = layers["tasks"]["sentiment"]["distill"]
    distill["losses"]["value_relations"], distill["relation_map"], distill["relation_heads"] = 1.0, [[1, 1]], 4
    layers["tasks"]["sentiment"]["student"]["vocabulary_size"] = None
    with pytest.raises(InputError, match=r"value_relations: must be 0 when runtime\.distributed is fsdp, got 1\.0"):
        check_params(layers, Path("params.yaml"))


def test_a_torchrun_of_somebodys_own_has_to_start_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {"TORCHELASTIC_RUN_ID": "own", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(InputError) as error:
        runtime.prepare(FOUR)
    assert str(error.value) == "runtime.processes: must be 8, as torchrun has it, got 4"
