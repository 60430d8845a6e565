"""`make deploy`: the deployments of prefect.yaml on a running server. Called again it brings them up to date.

Schedules are off in that file until somebody switches them on; those that are on stay on.
"""

import subprocess
import sys

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.exceptions import ObjectNotFound

from flows.server import POOL, PROGRAM, require_server
from pipeline.files import InputError


def main() -> int:
    """Register everything and return the exit code: 2 where no server answers, else Prefect's own."""
    try:
        require_server()
    except InputError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 2
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            subprocess.run([PROGRAM, "work-pool", "create", POOL, "--type", "process"], check=True)
        ours = client.read_deployments(work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])))
        switched_on = [schedule for deployment in ours for schedule in deployment.schedules if schedule.active]
        code = subprocess.run([PROGRAM, "--no-prompt", "deploy", "--all"]).returncode
        for schedule in switched_on:
            assert schedule.deployment_id is not None
            client.update_deployment_schedule(schedule.deployment_id, schedule.id, active=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
