"""What do more minutes bring? Language model, teacher and student of a task after more and more work.

    python benchmarks/quality_against_minutes.py [--task sentiment] [--tokens N …] [--epochs N …] [--shares X …]

Needs what `make run` leaves in data and models. --tokens: a teacher fine-tuned from a language model that read so many
tokens of the corpus; --epochs: a teacher after so many passes over its rows; --shares: a student taught with so many
times the transfer set that params.yaml asks for. Minutes are those of the stages, as a person waits for them. Every
point is read on dev, by which choices are made, and on test, by which none is. The curve goes to
reports/TASK/quality_against_minutes.json, which reports/index.html shows.
"""

import argparse
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from pipeline.files import write_json
from pipeline.params import Params, load_params
from pipeline.stages import distill, finetune, pretrain, tokenize
from pipeline.tasks import TASKS
from pipeline.tokenization.ragged import TokenRows

TOKENS, MODELS, REPORTS = Path("data/tokens"), Path("models"), Path("reports")
Point = dict[str, Any]


def pretrained_longer(params: Params, task: str, tokens: int, scratch: Path) -> Point:
    """Return the point of a teacher whose language model read `tokens` tokens of the corpus."""
    started = time.perf_counter()
    pretrain.run(
        params.model_copy(update={"pretrain": params.pretrain.model_copy(update={"max_tokens": tokens})}),
        tokens=TOKENS / "corpus",
        tokenizer=MODELS / "tokenizer",
        init_from=Path(params.init_from.path),
        out=scratch / "pretrained",
        history=scratch / "history.json",
    )
    _finetune(params, task, scratch / "pretrained", scratch)
    return _point(params, task, "teacher", f"{tokens / 1e6:g} M tokens", started, scratch, TOKENS / task / "teacher")


def finetuned_longer(params: Params, task: str, epochs: int, scratch: Path) -> Point:
    """Return the point of a teacher that reads the labelled rows `epochs` times."""
    section = params.tasks[task].finetune
    section = section.model_copy(update={"training": section.training.model_copy(update={"epochs": epochs})})
    started = time.perf_counter()
    _finetune(with_task(params, task, finetune=section), task, MODELS / "pretrained", scratch)
    after = f"{epochs} epoch{'s' if epochs > 1 else ''}"
    return _point(params, task, "teacher", after, started, scratch, TOKENS / task / "teacher")


def taught_more(params: Params, task: str, share: float, scratch: Path) -> Point:
    """Return the point of a student that is taught with `share` times the transfer set of params.yaml."""
    transfer = params.tasks[task].transfer
    sizes = {name: round(share * getattr(transfer, name)) for name in ("sentences", "recombined")}
    params = with_task(params, task, transfer=transfer.model_copy(update=sizes))
    distill.TEACHER_CACHE = scratch / "teacher_cache"  # empty, so that the teacher's minutes count
    started = time.perf_counter()
    tokenize.run(
        params,
        task=task,
        rows=Path("data/validated") / params.tasks[task].dataset,
        corpus=Path("data/validated") / params.corpus.dataset,
        tokenizer=MODELS / "tokenizer",
        pretrained=MODELS / "pretrained",
        out=scratch / "tokens",
        transfer=scratch / "transfer.parquet",
        student_tokenizer=scratch / "tokenizer",
    )
    learnt = MODELS / task / "pretrained_student"
    taught(params, task, scratch / "tokens", scratch / "tokenizer", learnt, scratch)
    after = f"{sum(sizes.values()):,} texts"
    return _point(params, task, "student", after, started, scratch, scratch / "tokens/student")


def _finetune(params: Params, task: str, pretrained: Path, scratch: Path) -> None:
    rows = TOKENS / task / "teacher"
    out, history = scratch / "teacher", scratch / "history.json"
    finetune.run(
        params,
        task=task,
        pretrained=pretrained,
        train=rows / "train",
        counterfactuals=rows / "counterfactuals",
        dev=rows / "dev",
        out=out,
        history=history,
    )


def taught(params: Params, task: str, tokens: Path, tokenizer: Path, learnt: Path, scratch: Path) -> None:
    """Let the student of a task learn in `scratch`, with its teacher and without.

    learnt: the student as it has learnt from the language model, or a path where there is none.
    """
    distill.run(
        params,
        task=task,
        teacher=MODELS / task / "teacher",
        teacher_tokens=tokens / "teacher",
        student_tokens=tokens / "student",
        student_tokenizer=tokenizer,
        pretrained_student=learnt,
        out=scratch / "student",
        undistilled=scratch / "undistilled",
        soft_labels=scratch / "soft_labels",
        history=scratch / "history.json",
    )


def with_task(params: Params, task: str, **sections: Any) -> Params:
    """Return the parameters with other sections of a task."""
    return params.model_copy(update={"tasks": params.tasks | {task: params.tasks[task].model_copy(update=sections)}})


def reached(params: Params, task: str, folder: Path, tokens: Path) -> dict[str, float]:
    """Return what the model in `folder` reaches on dev and on test, whose rows in its tokens are in `tokens`."""
    section = params.tasks[task]
    head = TASKS[section.type]().from_params(section)
    splits = {split: TokenRows.load(tokens / split) for split in ("dev", "test")}
    trained = SimpleNamespace(model=head.load(folder))
    read = {"batch_size": 32, "pad_token_id": trained.model.config.pad_token_id, "dtype": torch.float32}
    figure, _ = head.best
    return {split: round(head.evaluation(rows, **read)(trained)[figure], 4) for split, rows in splits.items()}


def _point(params: Params, task: str, model: str, after: str, started: float, scratch: Path, tokens: Path) -> Point:
    """Return what `model` in `scratch` reaches; its work began at `started` (time.perf_counter) and has just ended."""
    minutes = round((time.perf_counter() - started) / 60, 2)
    return {"model": model, "after": after, "minutes": minutes, **reached(params, task, scratch / model, tokens)}


def main() -> None:
    """Measure the curve and write its file after every point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sentiment")
    parser.add_argument("--tokens", type=int, nargs="*", default=[])
    parser.add_argument("--epochs", type=int, nargs="*", default=[])
    parser.add_argument("--shares", type=float, nargs="*", default=[])
    options = parser.parse_args()
    params = load_params(Path("params.yaml"))
    work: list[tuple[Any, Any]] = [(pretrained_longer, tokens) for tokens in options.tokens]
    work += [(finetuned_longer, epochs) for epochs in options.epochs]
    work += [(taught_more, share) for share in options.shares]
    points: list[Point] = []
    for measure, amount in work:
        with tempfile.TemporaryDirectory() as scratch:
            points.append(measure(params, options.task, amount, Path(scratch)))
        print(points[-1], flush=True)
        curve = {"params": params.tasks[options.task].model_dump(mode="json"), "points": points}
        write_json(REPORTS / options.task / "quality_against_minutes.json", curve)


if __name__ == "__main__":
    main()
