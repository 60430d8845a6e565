"""A running stage as a run of MLflow: fed by a background thread, never in the way of the work.

What counts is in files. A tracking server that is slow or away costs the curves of this run, never a second of
training: records wait in a bounded queue, and `register` writes the run of a stage that could not be shown from its
history file.
"""

import contextlib
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.files import write_json
from pipeline.processes import rank
from pipeline.tracking import EXPERIMENT, close_orphans, connect, whose

STAGE, OUTPUT_HASH = "stillhouse.stage", "stillhouse.output_sha256"
QUEUE_RECORDS = 10_000
SECONDS_BETWEEN_WRITES = 1.0
SECONDS_AFTER_A_FAILURE = 5.0
SECONDS_TO_CLOSE = 8.0
RECORDS_IN_A_CALL = 50  # MLflow takes at most 1,000 metrics and 100 parameters in one call
PARAMETERS_IN_A_CALL = 100


class StageRun:
    """The MLflow run of one stage. `log` takes a history record; `tags` are set when the stage has ended well."""

    def __init__(self, name: str, params: dict[str, Any], folder: Path | None) -> None:
        self.name, self.params, self.folder = name, params, folder
        self.tags: dict[str, str] = {}
        self._records: deque[tuple[int, dict[str, Any]]] = deque(maxlen=QUEUE_RECORDS)
        self._logged = 0
        self._ended = threading.Event()
        self._status: str | None = None
        self._created: str | None = None  # a run whose opening failed half-way is gone on with, not made twice
        self._thread = threading.Thread(target=self._write, name="mlflow", daemon=True)

    def start(self) -> None:
        """Begin to write in the background."""
        self._thread.start()

    def log(self, record: dict[str, Any]) -> None:
        """Queue one record: "step" and figures. Returns at once; a full queue forgets its oldest record."""
        self._records.append((round(time.time() * 1000), record))
        self._logged += 1

    def end(self, status: str) -> None:
        """Write what is left and close the run as FINISHED, FAILED or KILLED; give up after SECONDS_TO_CLOSE."""
        self._status = status
        self._ended.set()
        self._thread.join(SECONDS_TO_CLOSE)

    def _write(self) -> None:
        client = run_id = None
        written, failures, ended = 0, 0, False
        while not (ended and failures > 1):
            ended = self._ended.is_set()
            try:
                client = client or connect().MlflowClient()
                run_id = run_id or self._open(client)
                written += self._send(client, run_id)
                if ended:
                    self._close(client, run_id, whole=written == self._logged)
                    return
                failures = 0
            except Exception as error:  # whatever the server, the network or the database says, the stage goes on
                failures += 1
                if failures == 1:
                    print(f"{self.name}  MLflow does not answer ({type(error).__name__}), going on without", flush=True)
            self._ended.wait(SECONDS_AFTER_A_FAILURE if failures else SECONDS_BETWEEN_WRITES)

    def _open(self, client: Any) -> str:
        """Reopen the run that the work folder names, else create one; close those that a SIGKILL left open."""
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        tags = {STAGE: self.name} | whose()
        note = self.folder / "run.json" if self.folder else None
        run_id = self._created
        if run_id is None and note and note.exists():
            with contextlib.suppress(MlflowException, ValueError, KeyError):  # the note or its database may be gone
                run_id = str(client.get_run(json.loads(note.read_text(encoding="utf-8"))["run_id"]).info.run_id)
        if run_id is None:
            experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
            run_id = self._created = str(client.create_run(experiment, run_name=self.name, tags=tags).info.run_id)
            params = [Param(key, str(value)) for key, value in flatten(self.params).items()]
            for start in range(0, len(params), PARAMETERS_IN_A_CALL):
                client.log_batch(run_id, params=params[start : start + PARAMETERS_IN_A_CALL])
        for key, value in tags.items():
            client.set_tag(run_id, key, value)
        client.update_run(run_id, status="RUNNING")  # after the tags: by the old ones others would close it
        if note and note.parent.exists():
            write_json(note, {"run_id": run_id})
        close_orphans(client)
        return run_id

    def _send(self, client: Any, run_id: str) -> int:
        """Send the queue in its order, leaving in it what could not be sent; return how many records went."""
        from mlflow.entities import Metric

        sent = 0
        while self._records:
            part = list(itertools.islice(self._records.copy(), RECORDS_IN_A_CALL))
            metrics = [
                Metric(key, value, at, record["step"]) for at, record in part for key, value in figures(record).items()
            ]
            client.log_batch(run_id, metrics=metrics)
            sent += len(part)
            for entry in part:
                if self._records and self._records[0] is entry:  # a full queue may have forgotten it meanwhile
                    self._records.popleft()
        return sent

    def _close(self, client: Any, run_id: str, whole: bool) -> None:
        # a run without its output's hash is not adopted by `register`, which then writes a whole one
        if self._status == "FINISHED":
            for key, value in self.tags.items():
                if whole or key != OUTPUT_HASH:
                    client.set_tag(run_id, key, value)
        client.set_terminated(run_id, status=self._status)


@contextlib.contextmanager
def stage_run(name: str, params: dict[str, Any], folder: Path | None = None) -> Iterator[StageRun]:
    """Show the block as MLflow run `name`: FINISHED, FAILED when it raises, KILLED when a signal ends it.

    `params` may be nested. `folder`, the stage's work folder, keeps the run's id, so that a stage that was killed goes
    on in the run it had begun. Set `run.tags[OUTPUT_HASH]` to the content hash of what the stage publishes.
    Of the processes of one training the first shows the run, in the others nothing is written.
    """
    run = StageRun(name, params, folder)
    if rank():
        yield run
        return
    run.start()
    try:
        yield run
    except Exception:
        run.end("FAILED")
        raise
    except BaseException:
        run.end("KILLED")
        raise
    run.end("FINISHED")


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested parameters as one level with dotted names: `{"training": {"epochs": 2}}` as `training.epochs`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def figures(record: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a history record under the names MLflow shows: `train_loss`, `student_dev_accuracy`."""
    prefix = "".join(f"{record[key]}_" for key in ("model", "split") if key in record)
    return {
        f"{prefix}{key}": float(value)
        for key, value in record.items()
        if isinstance(value, int | float) and key != "step"
    }
