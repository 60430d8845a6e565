"""A word to whoever asked for it when a flow has ended: to the Apprise address in STILLHOUSE_NOTIFY, off without one.

The address holds a secret, so it stands in the environment of the worker and nowhere else.
"""

import os

from prefect import get_run_logger
from prefect.blocks.notifications import AppriseNotificationBlock
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from pydantic import SecretStr

ADDRESS = "STILLHOUSE_NOTIFY"


def notify(state: State[None]) -> None:
    """Send how this flow run ends, unless nothing came of it; a message that cannot be sent is a warning in the log."""
    address = os.environ.get(ADDRESS)
    if not address or state.name == "Unchanged":
        return
    subject = f"{flow_run.flow_name}: {state.name}"
    try:
        service = AppriseNotificationBlock(url=SecretStr(address))
        with service.raise_on_failure():
            service.notify(str(state.message), subject)
    except Exception as error:  # the flow has done its work; the error's own words may hold the secret
        get_run_logger().warning("%s: no message could be sent (%s)", ADDRESS, type(error).__name__)
