"""prefect.yaml names flows that exist, all of their parameters, one pool, and a slug for every schedule."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from flows.crashes import TIME_TO_BEGIN
from flows.server import POOL
from pipeline.params import read_yaml

ROOT = Path(__file__).parents[2]
DEPLOYMENTS: list[dict[str, Any]] = read_yaml(ROOT / "prefect.yaml")["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_a_deployment_is_its_flow_in_this_checkout(deployment: dict[str, Any]) -> None:
    path, name = deployment["entrypoint"].split(":")
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    assert flow.name == deployment["name"]
    parameters = inspect.signature(flow.fn).parameters.items()
    defaults = {key: value.default for key, value in parameters if value.default is not value.empty}
    assert deployment["parameters"] == defaults
    assert deployment["work_pool"]["name"] == POOL
    limit = deployment["concurrency_limit"]
    assert (limit["limit"], limit["collision_strategy"]) == (1, "ENQUEUE")
    assert limit["grace_period_seconds"] == TIME_TO_BEGIN.total_seconds()
    # without a slug Prefect makes a schedule anew at every `make deploy`
    assert all("slug" in schedule and not schedule["active"] for schedule in deployment.get("schedules", []))
