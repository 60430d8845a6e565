"""The promotion log of a registered model: a JSON line for each move of an alias, holding the hash of the line before.

The lines are an artifact of a run that MLflow keeps for nothing else, the evidence behind a line lies beside them under
its hash. How many lines there are and the hash of the last one stand as a tag on the registered model, so that lines
cannot be cut off or made up at the end either.
"""

import io
import json
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.files import sha256_of_file, stable_hash
from pipeline.tracking import NOTE, experiment_id

EXPERIMENT = "stillhouse promotions"  # apart from the runs that people compare
ABOUT = {NOTE: "Who was champion when and why: a run for each registered model. `stillhouse history` reads it."}
FILE, EVIDENCE = "promotions.jsonl", "evidence"
HEAD = "stillhouse.promotion_log_head"  # of a registered model: how many lines there are, the last one's hash
PENDING = "stillhouse.promotion_pending"  # of a registered model: the line of a move that has begun and not ended
LOG_OF, CREATED = "stillhouse.promotion_log", "stillhouse.registered_model_created"
FIELDS = ("sequence", "at", "who", "model", "alias", "from", "to", "by", "why", "evidence_sha256", "previous_sha256")

Line = dict[str, Any]


class PromotionLogError(Exception):
    """The log is not what was written: one line naming the model, the first bad line of its log and what is wrong."""


def sealed(entry: Line, lines: list[Line]) -> Line:
    """Return `entry` as the line that follows `lines`: numbered, with the hash of the line before and its own."""
    line = {"sequence": len(lines) + 1, **entry, "previous_sha256": lines[-1]["sha256"] if lines else None}
    return line | {"sha256": stable_hash(line)}


def as_text(line: Line) -> str:
    """Return a line as it stands in the log, the only spelling that is accepted when it is read."""
    return json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n"


def head_of(lines: list[Line]) -> str:
    """Return what the registered model's tag says of a log that ends like this."""
    return f"{len(lines)} {lines[-1]['sha256']}" if lines else ""


def check_lines(name: str, text: str) -> list[Line]:
    """Return the lines of a log; raise PromotionLogError at the first that is not what was written after the last."""
    lines: list[Line] = []
    for number, row in enumerate(io.StringIO(text, newline="\n"), start=1):
        if problem := _problem(name, row, lines):
            raise PromotionLogError(f"{name}, line {number} of {FILE}: {problem}")
        lines.append(json.loads(row))
    return lines


def _problem(name: str, row: str, lines: list[Line]) -> str | None:
    try:
        line = json.loads(row)
    except json.JSONDecodeError:
        return "no JSON, expected one move"
    if not isinstance(line, dict) or set(line) != {*FIELDS, "sha256"} or as_text(line) != row:
        return "not spelled as stillhouse writes a move"
    if line["sequence"] != len(lines) + 1:
        return f"sequence is {line['sequence']}, expected {len(lines) + 1}; a line was removed, added or moved"
    found = stable_hash({field: line[field] for field in FIELDS})
    if line["sha256"] != found:
        return f"its sha256 says {line['sha256']}, its content has {found}"
    if line["previous_sha256"] != (lines[-1]["sha256"] if lines else None):
        return f"it follows a line {line['previous_sha256']}, which is not the one before it"
    return None if line["model"] == name else f"it is about {line['model']}"


class LogFile:
    """The lines of one registered model in MLflow's artifacts. `registered` is MLflow's RegisteredModel."""

    def __init__(self, mlflow: ModuleType, registered: Any) -> None:
        self.client, self.artifacts, self.name = mlflow.MlflowClient(), mlflow.artifacts, registered.name
        # a model that was deleted and made again under its name starts a log of its own
        self.tags = {LOG_OF: registered.name, CREATED: str(registered.creation_timestamp)}
        self.run_id = self._find_run()

    def read(self, head: str, pending: Line | None) -> list[Line]:
        """Return the lines, whole and in order, a `pending` one included, which a kill may have kept from the file.

        Raises PromotionLogError where lines, their end as `head` has it, or the evidence differ from what was written.
        """
        with tempfile.TemporaryDirectory() as scratch:
            folder = self._download(Path(scratch))
            file = folder / FILE
            text = file.read_bytes().decode(errors="replace") if file.is_file() else ""
            lines = check_lines(self.name, text)
            if pending and pending not in lines[-1:]:
                lines += check_lines(self.name, text + as_text(pending))[-1:]
            self._check_head(lines, head, pending)
            for line in lines:
                self._check_evidence(folder, line)
        return lines

    def write(self, lines: list[Line]) -> None:
        """Write the whole log; MLflow replaces a file of its own folders in one step."""
        self.client.log_text(self._run(), "".join(map(as_text, lines)), FILE)

    def write_evidence(self, text: str, sha256: str) -> None:
        """Keep the evidence of a line under its hash."""
        self.client.log_text(self._run(), text, f"{EVIDENCE}/{sha256}.json")

    def _find_run(self) -> str | None:
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return None
        matching = " and ".join(f"tags.`{key}` = '{value}'" for key, value in self.tags.items())
        runs = self.client.search_runs([experiment.experiment_id], matching, order_by=["attributes.start_time ASC"])
        return str(runs[0].info.run_id) if runs else None

    def _run(self) -> str:
        if self.run_id is None:
            experiment = experiment_id(self.client, EXPERIMENT, ABOUT)
            run = self.client.create_run(experiment, run_name=f"promotions of {self.name}", tags=self.tags)
            self.client.set_terminated(run.info.run_id)
            self.run_id = str(run.info.run_id)
        return self.run_id

    def _download(self, folder: Path) -> Path:
        if self.run_id is None or not self.client.list_artifacts(self.run_id):
            return folder
        return Path(self.artifacts.download_artifacts(run_id=self.run_id, dst_path=str(folder)))

    def _check_head(self, lines: list[Line], head: str, pending: Line | None) -> None:
        if head == head_of(lines) or (pending and head == head_of(lines[:-1])):
            return
        count = int(head.split(" ")[0]) if head[:1].isdigit() else 0
        if count > len(lines):
            bad, problem = len(lines) + 1, f"missing; the registry counts {count} lines"
        elif count and head == head_of(lines[:count]):
            bad, problem = count + 1, f"not stillhouse's; the registry counts {count} lines"
        else:
            bad, problem = len(lines), f"the last one; the registry says {head or 'of none'!r}, not {head_of(lines)!r}"
        raise PromotionLogError(f"{self.name}, line {bad} of {FILE}: {problem}")

    def _check_evidence(self, folder: Path, line: Line) -> None:
        sha256 = line["evidence_sha256"]
        file = folder / EVIDENCE / f"{sha256}.json"
        if sha256 and not (file.is_file() and sha256_of_file(file) == sha256):
            found = "has changed" if file.is_file() else "is gone"
            raise PromotionLogError(
                f"{self.name}, line {line['sequence']} of {FILE}: its evidence {EVIDENCE}/{sha256}.json {found}"
            )
