"""Every move of an alias: written down first, then made; what a kill or another hand left is put in order before.

A move is 1. noted as pending on the registered model, 2. a line of the log, 3. counted, 4. the alias itself, 5. no
longer pending. A process may die between any two of them: the next one finds the note and does the rest again.
"""

import contextlib
import functools
import getpass
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipeline.files import InputError
from pipeline.registry.promotion_log import HEAD, PENDING, Line, LogFile, as_text, head_of, sealed
from pipeline.registry.registry_lock import RegistryLock, registry_lock

if TYPE_CHECKING:
    from pipeline.registry.gate import Decision

DECISION = "decision.json"  # of a candidate's run: what the gate decided, kept before the version exists
LOCKS = Path(".stillhouse")
UNKNOWN = "unknown"


def decision_text(decision: "Decision") -> str:
    """Return a gate's decision as the text whose hash the log names as evidence."""
    return json.dumps(asdict(decision), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@contextlib.contextmanager
def promotions_of(mlflow: ModuleType, name: str) -> Iterator["Promotions"]:
    """Yield the moves of model `name`, put in order, to one process at a time of all that use the registry.

    Raises PromotionLogError where the log is not what was written, LockLostError where this process was silent for so
    long that another one took its place.
    """
    with registry_lock(mlflow.MlflowClient(), name, LOCKS, _who()) as lock:
        promotions = Promotions(mlflow, name, lock)
        promotions.put_in_order()
        yield promotions


class Promotions:
    """The aliases of one registered model and the log of how they came to stand where they do."""

    def __init__(self, mlflow: ModuleType, name: str, lock: RegistryLock) -> None:
        self.mlflow, self.client, self.name, self.lock = mlflow, mlflow.MlflowClient(), name, lock
        self.lines: list[Line] = []

    def put_in_order(self) -> None:
        """End a move that was begun, write down those made elsewhere, make those that the gate decided on in vain."""
        if not self.client.search_registered_models(f"name = '{self.name}'"):
            return
        tags = self.client.get_registered_model(self.name).tags
        pending = json.loads(tags[PENDING]) if PENDING in tags else None
        self.lines = self._file.read(tags.get(HEAD, ""), pending)
        if pending:
            self._make(self.lines.pop())
        self._note_foreign_moves()
        self._make_decided_moves()

    def decide(self, version: Any, decision: str) -> None:
        """Move the alias that the gate's decision, the text of its DECISION, gives to a version."""
        made = json.loads(decision)
        self._move(made["alias"], int(version.version), by="gate", why=made["reason"], evidence=decision)

    def promote(self, version: int, why: str) -> Line:
        """Move @champion to a version, as somebody wants it, and return the line that says so.

        Raises InputError where there is no such version or it is @champion already.
        """
        if version not in (known := self._versions()):
            raise InputError(f"{self.name}: no version {version}, expected one of {sorted(known)}")
        if version == self._aliases().get("champion"):
            raise InputError(f"{self.name}: version {version} is @champion already, expected another one")
        return self._move("champion", version, by="hand", why=why)

    def roll_back(self, why: str) -> Line:
        """Move @champion to the version it pointed to before this one, and return the line that says so.

        Called again it goes back further. Versions that have been deleted are passed over. Raises InputError where
        nothing is left to go back to.
        """
        now, kept = self._aliases().get("champion"), self._versions()
        earlier = [version for version in self._trail() if version in kept and version != now]
        if not earlier:
            found = f"no version before {now}" if now else "no version"
            raise InputError(f"{self.name}@champion: {found} in the promotion log, expected one to go back to")
        return self._move("champion", earlier[-1], by="rollback", why=why)

    def _trail(self) -> list[int]:
        """Return the versions @champion went through, oldest first, without those that a rollback has left."""
        trail: list[int] = []
        for line in self.lines:
            if line["alias"] == "champion" and line["to"] is not None:
                if line["by"] == "rollback":
                    trail = trail[: len(trail) - trail[::-1].index(line["to"])]
                else:
                    trail.append(line["to"])
        return trail

    def _note_foreign_moves(self) -> None:
        logged = {line["alias"]: line["to"] for line in self.lines}
        aliases = self._aliases()
        for alias in sorted(logged.keys() | aliases.keys()):
            if logged.get(alias) != aliases.get(alias):
                self._write(
                    alias,
                    logged.get(alias),
                    aliases.get(alias),
                    by="elsewhere",
                    why="found so: moved by something else than stillhouse",
                    who=UNKNOWN,
                )

    def _make_decided_moves(self) -> None:
        """Give versions that no line speaks of what the gate decided on: a kill came between making and moving."""
        known = {line["to"] for line in self.lines}
        versions = self.client.search_model_versions(f"name = '{self.name}'")
        for version in sorted(versions, key=lambda version: int(version.version)):
            if int(version.version) not in known and version.run_id:
                kept = {entry.path for entry in self.client.list_artifacts(version.run_id)}
                if DECISION in kept:
                    uri = f"runs:/{version.run_id}/{DECISION}"
                    self.decide(version, self.mlflow.artifacts.load_text(uri))

    def _move(self, alias: str, to: int, *, by: str, why: str, evidence: str | None = None) -> Line:
        return self._write(alias, self._aliases().get(alias), to, by=by, why=why, who=_who(), evidence=evidence)

    def _write(
        self,
        alias: str,
        origin: int | None,
        to: int | None,
        *,
        by: str,
        why: str,
        who: str,
        evidence: str | None = None,
    ) -> Line:
        sha256 = hashlib.sha256(evidence.encode()).hexdigest() if evidence is not None else None
        if evidence is not None and sha256 is not None:
            self._file.write_evidence(evidence, sha256)
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "who": who,
            "model": self.name,
            "alias": alias,
            "from": origin,
            "to": to,
            "by": by,
            "why": why,
            "evidence_sha256": sha256,
        }
        line = sealed(entry, self.lines)
        self.lock.check()
        self.client.set_registered_model_tag(self.name, PENDING, as_text(line))
        self._make(line)
        return line

    def _make(self, line: Line) -> None:
        """Do all of a pending move; whatever of it has been done before is done again to the same end."""
        self.lines.append(line)
        self._file.write(self.lines)
        self.client.set_registered_model_tag(self.name, HEAD, head_of(self.lines))
        if self._aliases().get(line["alias"]) == line["from"] and line["to"] is not None:
            self.client.set_registered_model_alias(self.name, line["alias"], str(line["to"]))
        self.client.delete_registered_model_tag(self.name, PENDING)

    @functools.cached_property
    def _file(self) -> LogFile:
        return LogFile(self.mlflow, self.client.get_registered_model(self.name))

    def _versions(self) -> set[int]:
        return {int(version.version) for version in self.client.search_model_versions(f"name = '{self.name}'")}

    def _aliases(self) -> dict[str, int]:
        aliases = self.client.get_registered_model(self.name).aliases
        return {alias: int(version) for alias, version in aliases.items()}


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
