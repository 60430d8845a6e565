"""MLflow, set up for this project: its database or server, the experiment, and runs that a dead process left open."""

import atexit
import contextlib
import functools
import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.files import InputError, refusals_naming, replacing, without_credentials
from pipeline.processes import identity, is_running

EXPERIMENT = "stillhouse"
NOTE = "mlflow.note.content"  # what MLflow shows as a description
ABOUT = {
    NOTE: "What was trained: a run for each candidate, named after its task and the beginning of its student's hash, "
    "and in it a run for each stage that trained, with its curves.",
    "mlflow.experimentKind": "custom_model_development",  # else its page begins with what is for prompts and agents
}
DATABASE = Path("mlflow.db")
LOCK = Path(".stillhouse/mlflow.lock")
HOST, PROCESS = "stillhouse.host", "stillhouse.process"


def dvc_experiment() -> str | None:
    """Return the name of the DVC experiment (`dvc exp run`) that this stage is part of, None where it is of none."""
    return os.environ.get("DVC_EXP_NAME")


def project() -> Path:
    """Return the project's folder: the current one, but where DVC runs an experiment in a copy that it drops."""
    return Path(os.environ.get("DVC_ROOT", "")) if dvc_experiment() else Path()


def connect() -> ModuleType:
    """Return mlflow, set up: MLFLOW_TRACKING_URI or a database in the project's folder, experiment `stillhouse`.

    Fails within seconds when the server is away: raises what mlflow raises.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    import logging

    import mlflow
    from filelock import FileLock

    # they report every table they create, every retry, and with a traceback whatever they raise besides
    for library in ("alembic", "mlflow", "urllib3"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    database, lock = project() / DATABASE, project() / LOCK
    own = f"sqlite:///{database}"
    # set_tracking_uri puts it there, for child processes
    uri = _without_password(os.environ.get("MLFLOW_TRACKING_URI") or own)
    mlflow.set_tracking_uri(uri)
    if uri.startswith("http"):
        _keep_nothing_fetched()
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):  # processes that create one sqlite database at once leave it broken for good
        if uri == own and not database.exists():
            _create_database(database)
        if not ABOUT.items() <= mlflow.set_experiment(EXPERIMENT).tags.items():
            mlflow.set_experiment_tags(ABOUT)
    return mlflow


def _without_password(uri: str) -> str:
    """Return a server's address without user and password, which go to where MLflow looks for them besides: it prints
    addresses, with every run and in every error.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return uri
    if not (parts.username and parts.password):
        raise InputError("MLFLOW_TRACKING_URI: a user or a password alone, expected both or neither before the host")
    os.environ.setdefault("MLFLOW_TRACKING_USERNAME", unquote(parts.username))
    os.environ.setdefault("MLFLOW_TRACKING_PASSWORD", unquote(parts.password))
    return without_credentials(uri)


@functools.cache
def _keep_nothing_fetched() -> None:
    """Have this process's temporary files go with it: among them MLflow leaves all that it fetches from a server."""
    tempfile.tempdir = tempfile.mkdtemp(prefix="stillhouse-")
    atexit.register(shutil.rmtree, tempfile.tempdir, ignore_errors=True)


@contextlib.contextmanager
def connected() -> Iterator[ModuleType]:
    """Yield what `connect` returns, with no run left open by a process that is gone.

    Where its database is refused room or access, raise an InputError that names it.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project() / DATABASE}"
    name = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:") else "MLFLOW_TRACKING_URI"  # it may hold secrets
    with refusals_naming(name, passing=(InputError, OSError)):  # an OSError names its own file
        mlflow = connect()
        close_orphans(mlflow.MlflowClient())
        yield mlflow


def experiment_id(client: Any, name: str, tags: dict[str, str]) -> str:
    """Return the id of an experiment, which is created where it is not there, by however many clients at once.

    tags: of a new one.
    """
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):  # it is there
        return str(client.create_experiment(name, tags=tags))
    return str(client.get_experiment_by_name(name).experiment_id)


def _create_database(database: Path) -> None:
    """Create MLflow's tables beside their place and move them there: MLflow cannot go on with half of them.

    The experiment as well: MLflow's client would have its artifacts in the current folder, which DVC may drop.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with replacing(database) as draft:
        store = SqlAlchemyStore(f"sqlite:///{draft}", str(database.parent / "mlruns"))
        store.create_experiment(EXPERIMENT)
        store.engine.dispose()


def whose() -> dict[str, str]:
    """Return the tags that say which process writes a run, so that a later one can close it."""
    return {HOST: _this_machine(), PROCESS: identity()}


def _this_machine() -> str:
    """Return a name of this machine: people who share a server may have given theirs the same one."""
    installation = Path("/etc/machine-id")
    number = installation.read_text(encoding="ascii") if installation.is_file() else ""
    return f"{socket.gethostname()}-{hashlib.sha256(number.encode()).hexdigest()[:8]}"


def close_orphans(client: Any) -> None:
    """Close as KILLED the open runs of processes of this machine that are no more."""
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    open_here = f"attributes.status = 'RUNNING' and tags.`{HOST}` = '{_this_machine()}'"
    for run in client.search_runs([experiment], open_here):
        if PROCESS not in run.data.tags or not is_running(run.data.tags[PROCESS]):
            client.set_terminated(run.info.run_id, status="KILLED")
