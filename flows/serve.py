"""`python -m flows.serve`: registers the deployments of prefect.yaml and does their work, in this one process.

It stands for `make deploy` and `make worker` together.
"""

import sys
from pathlib import Path
from typing import Any

from prefect import serve
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint

from flows.crashes import close_crashed_runs
from flows.server import require_server
from pipeline.files import InputError
from pipeline.params import read_yaml


def main() -> int:
    """Serve until Ctrl-C or SIGTERM; return 2 where no server answers. Schedules stay as they are switched."""
    try:
        require_server()
    except InputError as error:
        print(f"serve: {error}", file=sys.stderr)
        return 2
    close_crashed_runs()
    serve(*map(_deployment, read_yaml(Path("prefect.yaml"))["deployments"]), pause_on_shutdown=False)
    return 0


def _deployment(entry: dict[str, Any]) -> RunnerDeployment:
    flow: Flow[..., Any] = load_flow_from_entrypoint(entry["entrypoint"])
    switched_on = _forget(f"{flow.name}/{entry['name']}")
    schedules = [
        DeploymentScheduleCreate(
            slug=each["slug"],
            schedule=CronSchedule(cron=each["cron"], timezone=each["timezone"]),
            active=each["active"] or each["slug"] in switched_on,
        )
        for each in entry.get("schedules", [])
    ]
    deployment = flow.to_deployment(
        entry["name"],
        description=entry["description"],
        tags=entry["tags"],
        parameters=entry["parameters"],
        schedules=schedules,
        concurrency_limit=ConcurrencyLimitConfig(**entry["concurrency_limit"]),
    )
    assert isinstance(deployment, RunnerDeployment)  # a coroutine only where an event loop runs
    return deployment


def _forget(name: str) -> set[str | None]:
    """Delete a deployment that was registered before, and return which of its schedules were on.

    One that is registered over another keeps what the new one does not state, so its runs would look for the flow where
    a worker would.
    """
    with get_client(sync_client=True) as client:
        try:
            known = client.read_deployment_by_name(name)
        except ObjectNotFound:
            return set()
        client.delete_deployment(known.id)
    return {each.slug for each in known.schedules if each.active}


if __name__ == "__main__":
    sys.exit(main())
