"""One process at a time for a registered model, on whatever machine it runs: a lock that the registry itself keeps.

MLflow's server has no lock to offer, but two things it does for one caller alone: it gives a name to a registered
model, and it renames one. So the lock of `sentiment` is a registered model `sentiment.lock` without versions: who
creates it holds it, who is done deletes it. A holder beats: a tag changes every few seconds. Where it does not change
for long enough, those who wait rename the lock after its silent holder, which one of them can, and it is free.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOLDER, WHO, BEAT = "stillhouse.lock_holder", "stillhouse.lock_who", "stillhouse.lock_beat"
SECONDS_BETWEEN_BEATS = 5.0
SECONDS_OF_SILENCE = 60.0
SECONDS_BETWEEN_TRIES = 0.5
DESCRIPTION = "Not a model: somebody moves an alias of the model of this name, and is gone in a minute."


class LockLostError(Exception):
    """One line: the lock was taken from this process, as nothing was heard of it for SECONDS_OF_SILENCE."""


@contextlib.contextmanager
def registry_lock(client: Any, name: str, folder: Path, who: str) -> Iterator["RegistryLock"]:
    """Hold the lock of model `name` for the block; `client` is an MlflowClient, `who` is shown to those who wait.

    `folder` is the checkout's own: its processes take turns by a file lock there, which the kernel frees when its
    holder dies. A holder's name lies beside it, so what a killed process of this checkout left in the registry is known
    for what it is and taken over at once.
    """
    from filelock import FileLock

    folder.mkdir(exist_ok=True)
    with FileLock(folder / f"promotions-{name}.lock"):
        lock = RegistryLock(client, name, folder / f"promotions-{name}.holder", who)
        lock.acquire()
        try:
            yield lock
        finally:
            lock.release()


class RegistryLock:
    """The lock of one registered model, of which each holder has a name of its own."""

    def __init__(self, client: Any, name: str, note: Path, who: str) -> None:
        self.client, self.name, self.note, self.who = client, name, note, who
        self.place, self.holder = f"{name}.lock", uuid.uuid4().hex
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lock", daemon=True)

    def acquire(self) -> None:
        """Take the lock, waiting for whoever holds it. Raises what MLflow raises where it does not answer."""
        before = self.note.read_text(encoding="utf-8") if self.note.exists() else None
        self.note.write_text(self.holder, encoding="utf-8")
        seen, since = None, time.monotonic()
        while not self._create():
            tags = self._tags()
            if tags != seen:
                if seen is None and tags and tags.get(HOLDER) != before:
                    print(f"{self.name}: {tags.get(WHO)} is at work in the registry; waiting", flush=True)
                seen, since = tags, time.monotonic()
            silent = time.monotonic() - since > SECONDS_OF_SILENCE
            if tags and (silent or tags.get(HOLDER) == before):
                self._take_from(str(tags.get(HOLDER)))
            else:
                time.sleep(SECONDS_BETWEEN_TRIES)
        self._thread.start()

    def check(self) -> None:
        """Raise LockLostError where another process took the lock: this one may have slept, and must not go on."""
        if self._tags().get(HOLDER) != self.holder:
            raise LockLostError(
                f"{self.name}: another process works on it, as nothing was heard of this one for "
                f"{SECONDS_OF_SILENCE:.0f} s, expected to be the only one; start it again"
            )

    def release(self) -> None:
        """Give the lock back, if it is still this process's, and remove what is left of holders that were silent."""
        self._done.set()
        self._thread.join()
        if self._tags().get(HOLDER) == self.holder:
            for left in self.client.search_registered_models(f"name LIKE '{self.place}.%'"):
                self.client.delete_registered_model(left.name)
            self.client.delete_registered_model(self.place)

    def _create(self) -> bool:
        """Create the lock; tell whether it is this process's, also where MLflow repeated a call without an answer."""
        from mlflow.exceptions import MlflowException

        tags = {HOLDER: self.holder, WHO: self.who, BEAT: "0"}
        try:
            self.client.create_registered_model(self.place, tags=tags, description=DESCRIPTION)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):  # the latter: just gone
                raise
            return self._tags().get(HOLDER) == self.holder
        return True

    def _tags(self) -> dict[str, str]:
        """Return the lock's tags, none where nobody holds it."""
        from mlflow.exceptions import MlflowException

        try:
            return dict(self.client.get_registered_model(self.place).tags)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return {}

    def _take_from(self, holder: str) -> None:
        """Free the lock of a holder that is gone. The new name stays until `release`, so nobody can do it again."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.rename_registered_model(self.place, f"{self.place}.{holder}")
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
                raise

    def _beat(self) -> None:
        beats = 0
        while not self._done.wait(SECONDS_BETWEEN_BEATS):
            beats += 1
            with contextlib.suppress(Exception):  # a server that is away for a while; `check` has the last word
                if self._tags().get(HOLDER) == self.holder:
                    self.client.set_registered_model_tag(self.place, BEAT, str(beats))
