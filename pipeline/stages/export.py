"""The student in the form that it is served in; measured on dev, so that `evaluate` and the gate see what is served."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.files import replacing, write_json
from pipeline.params import Params, TaskParams
from pipeline.params.task_types import TASK_TYPES
from pipeline.stages.command import main

if TYPE_CHECKING:
    import numpy as np

    from pipeline.tasks.labelling import LabellingTask
    from pipeline.tokenization.ragged import TokenRows


def run(params: Params, *, task: str, student: Path, dev: Path, out: Path) -> None:
    """Write the student of a task as a graph, and how its answers are made of what it puts out, which dev decides.

    A record alone where no graph is wanted.
    """
    from pipeline.architectures.exported import RECORD, is_exported

    section = params.tasks[task]
    with replacing(out) as draft:
        draft.mkdir()
        record = _exported(params, section, student, dev, draft)
        print(f"export: {record['format'] or 'none'}, {record['reason']}", flush=True)
        if TASK_TYPES[section.type].calibrated:
            record |= _confidence(params, section, draft if is_exported(draft) else student, dev)
        write_json(draft / RECORD, record)


def _confidence(params: Params, section: TaskParams, served: Path, dev: Path) -> dict[str, Any]:
    """Return the temperature of the student in the form that is served, the thresholds, and what both mean on dev."""
    from pipeline.exporting.confidence import accuracy_at_scores, fit_temperature, negative_log_likelihood
    from pipeline.tasks import TASKS
    from pipeline.tokenization.ragged import TokenRows
    from pipeline.training import runtime

    runtime.prepare(params.runtime)
    head, rows = TASKS[section.type]().from_params(section), TokenRows.load(dev)
    chosen = head.choices(_said(head, served, rows), rows)
    logits, labels = chosen.logits.numpy(), chosen.labels.numpy()
    temperature = fit_temperature(logits, labels) if section.calibration == "temperature" else 1.0
    before, after = (round(negative_log_likelihood(logits / value, labels), 6) for value in (1.0, temperature))
    print(f"export: temperature {temperature:g}, loss on dev {before:.4f} before, {after:.4f} with it", flush=True)
    found = {"temperature": temperature, "thresholds": section.thresholds, "loss": {"before": before, "after": after}}
    if section.type == "text_classification":
        found["accuracy_at_scores"] = accuracy_at_scores(logits / temperature, labels)
    return found


def _exported(params: Params, section: TaskParams, student: Path, dev: Path, out: Path) -> dict[str, Any]:
    """Write the graph, in float32 where 8 bits cost too much; return the format, why it is that one, and figures."""
    from pipeline.architectures import family_of
    from pipeline.params.families import EXPORTED

    wanted = section.export
    if wanted is None:
        return {"format": None, "reason": "params.yaml asks for none"}
    if (family := family_of(student)) not in EXPORTED:
        return {"format": None, "reason": f"a {family} stays with PyTorch"}

    from pipeline.exporting.export import export_model
    from pipeline.tasks import TASKS
    from pipeline.tokenization.ragged import TokenRows
    from pipeline.training import runtime

    runtime.prepare(params.runtime)
    head, rows = TASKS[section.type]().from_params(section), TokenRows.load(dev)
    plain = _said(head, student, rows)
    figure, direction = head.best
    before, worse = head.score(plain, rows)[figure], -1 if direction == "min" else 1
    tried = {}
    for format_ in (wanted.format, "float32"):
        shutil.rmtree(out)
        export_model(student, out, format_, rows, wanted.calibration_rows)
        said = _said(head, out, rows)
        after = head.score(said, rows)[figure]
        tried[format_] = {figure: round(after, 6), "agreement": round(_agreement(head, rows, plain, said), 6)}
        if format_ == "float32" or worse * (before - after) <= wanted.max_loss:
            break
    reason = f"{figure} on dev {after:.4f}, {before:.4f} in PyTorch"
    if format_ != wanted.format:
        lost = tried[wanted.format][figure]
        reason = f"{wanted.format} has {figure} {lost:.4f} on dev, more than {wanted.max_loss} below {before:.4f}"
    return {"format": format_, "reason": reason, "dev": {"student": {figure: round(before, 6)}} | tried}


def _said(head: "LabellingTask", folder: Path, rows: "TokenRows") -> "np.ndarray":
    import torch

    from pipeline.training.prediction import predict_logits

    model = head.load(folder)
    pad_token_id = model.config.pad_token_id
    return predict_logits(model, rows, batch_size=32, pad_token_id=pad_token_id, dtype=torch.float32)


def _agreement(head: "LabellingTask", rows: "TokenRows", plain: "np.ndarray", exported: "np.ndarray") -> float:
    """Return the share of the task's choices that come out the same; of numbers, those that differ by less than 0.01.

    What is chosen among is the head's to say: of several labels each by itself, of an answer its start and its end.
    """
    before, after = (head.choices(logits, rows).logits for logits in (plain, exported))
    if before.shape[1] == 1:
        return float(((before - after).abs() < 0.01).double().mean())
    return float((before.argmax(dim=1) == after.argmax(dim=1)).double().mean())


if __name__ == "__main__":
    main(run)
