"""Wall time of five epochs of distillation: ours against TextBrewer and torchdistill, and what the teacher costs us.

    python benchmarks/distillation.py [--pairs 5] [--rows 1500] [--epochs 5] [--threads 2] [--precision auto]

Installs nothing: a library that cannot be imported is left out and named. Made with TextBrewer 0.2.1.post1, which asks
for tensorboardX, and torchdistill 1.1.5, which asks for torchvision. Teacher (MiniLM, 6 layers of width 384, its new
head untrained), student (2 layers of width 192, random), rows (sentences of Rotten Tomatoes), batches of 32, soft
labels at temperature 2, AdamW and a gradient norm of 1 are the same for all; all run in turn, in one process. The
libraries ask the teacher for every batch, as they are made to, in float32, and their batches are padded to the longest
row, which is the best that can be done around them. Ours asks the teacher once, keeps what it says on disk, and runs in
what `--precision` means here; its time is that of both, saving included. `ratio_to_...` is their time over ours. The
second goal: `teacher_share`, our time over that of as many epochs of the same student on the labels and one pass of the
teacher. Ratios are by the clock; `processor` ones compare processor time, which other programs disturb less. The last
line is one JSON object.
"""

import argparse
import copy
import functools
import importlib
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import image_operators  # noqa: F401 before transformers is imported
import numpy as np
import torch
from reviews import ROOT, Seconds, pretrained_folder, reviews, timed
from setting import set_up
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, RandomSampler
from transformers import AutoTokenizer

from pipeline.distillation.lessons import DistillationLoss, Lessons, with_teacher
from pipeline.distillation.student import build_student
from pipeline.distillation.teacher_cache import cached_outputs
from pipeline.params import RuntimeParams, TaskParams, load_params
from pipeline.tasks.text_classification import TextClassification
from pipeline.tokenization.ragged import TokenRows
from pipeline.training import runtime, trainer

BATCH, LENGTH, TEMPERATURE = 32, 64, 2.0
GOALS = {"ratio": 4.0, "teacher_share": 1.15}
HEAD = TextClassification(["negative", "positive"])
Batch = dict[str, Tensor]


def task_of(epochs: int) -> TaskParams:
    """Return the default job's task by soft labels alone, `epochs` passes in batches of 32, a dev that nobody reads."""
    task = load_params(ROOT / "params.yaml").tasks["sentiment"]
    changed = {
        "epochs": epochs,
        "batch_size": BATCH,
        "evaluations": 1,
        "embeddings_rate": 1.0,
        "checkpoint_minutes": 60,
    }
    training = task.distill.training.model_copy(update=changed)
    alone = dict.fromkeys(task.distill.losses.model_dump(), 0.0) | {"soft_labels": 1.0}
    losses = task.distill.losses.model_copy(update=alone)
    distill = task.distill.model_copy(
        update={"training": training, "temperature": TEMPERATURE, "losses": losses, "layer_map": []}
    )
    return task.model_copy(update={"distill": distill})


class Logits(nn.Module):
    """A classifier that returns its logits alone, as torchdistill's losses read them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **batch: Tensor) -> Tensor:
        """Return the logits, (rows, classes)."""
        return self.model(**batch).logits


def padded(rows: list[list[int]]) -> Batch:
    """Return rows as a batch that transformers' models read, padded to the longest."""
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def optimizer_of(student: nn.Module, task: TaskParams) -> torch.optim.Optimizer:
    """Return the optimizer that TextBrewer is given."""
    settings = task.distill.training
    return torch.optim.AdamW(student.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)


def with_textbrewer(
    rows: list[list[int]], teacher: nn.Module, student: nn.Module, task: TaskParams, scratch: Path
) -> None:
    """Distill as TextBrewer's examples do, its checkpoint at the end alone."""
    from textbrewer import BasicDistiller, DistillationConfig, TrainingConfig

    epochs = task.distill.training.epochs
    loader: Any = DataLoader(rows, batch_size=BATCH, shuffle=True, collate_fn=padded)  # type: ignore[arg-type]
    training = TrainingConfig(device="cpu", output_dir=str(scratch), ckpt_epoch_frequency=epochs)
    distill = DistillationConfig(temperature=TEMPERATURE, hard_label_weight=0, kd_loss_weight=TEMPERATURE**2)

    def adaptor(batch: Batch, output: Any) -> dict[str, Any]:
        return {"logits": (output.logits,)}

    distiller = BasicDistiller(training, distill, teacher, student, adaptor, adaptor)
    with distiller:
        distiller.train(optimizer_of(student, task), loader, num_epochs=epochs, max_grad_norm=1.0)


def with_torchdistill(
    rows: list[list[int]], teacher: nn.Module, student: nn.Module, task: TaskParams, scratch: Path
) -> None:
    """Distill as torchdistill's examples do."""
    from torchdistill.core.distillation import get_distillation_box

    settings = task.distill.training
    own = {"forward_proc": "forward_batch_only_as_kwargs"}
    paths = dict.fromkeys(("student_module_path", "teacher_module_path"), ".")
    paths |= dict.fromkeys(("student_module_io", "teacher_module_io"), "output")
    kd = {"key": "KDLoss", "kwargs": {**paths, "temperature": TEMPERATURE, "alpha": 0.0}}
    box = get_distillation_box(
        Logits(teacher),
        Logits(student),
        {"rows": rows},
        {
            "num_epochs": settings.epochs,
            "train_data_loader": {
                "dataset_id": "rows",
                "requires_supp": False,
                "sampler": {"class_or_func": RandomSampler},
                "collate_fn": "batch_without_targets",
                "kwargs": {"batch_size": BATCH},
            },
            "teacher": {**own, "requires_grad": False},
            "student": dict(own),
            "criterion": {
                "key": "WeightedSumLoss",
                "kwargs": {"sub_terms": {"kd": {"criterion": kd, "weight": TEMPERATURE**2}}},
                "func2extract_model_loss": "no_loss_of_the_model",
            },
            "optimizer": {
                "key": "AdamW",
                "kwargs": {"lr": settings.learning_rate, "weight_decay": settings.weight_decay},
                "max_grad_norm": 1.0,
            },
        },
        torch.device("cpu"),
        None,
        False,
        1.0,
    )
    for epoch in range(box.num_epochs):
        box.pre_epoch_process(epoch=epoch)
        for batch, targets, supplement in box.train_data_loader:
            box.post_forward_process(loss=box.forward_process(batch, targets, supplement))
        box.post_epoch_process()
    torch.save(student.state_dict(), scratch / "student.pt")


def prepare_torchdistill() -> None:
    """Import torchdistill and register what its configuration names; raise ImportError where it is not installed."""
    importlib.import_module("torchdistill.core.distillation")
    from torchdistill.datasets.registry import register_collate_func
    from torchdistill.losses.registry import register_func2extract_model_output

    register_collate_func(lambda rows: (padded(rows), None, {}), key="batch_without_targets")
    register_func2extract_model_output(lambda outputs, targets, **further: {}, key="no_loss_of_the_model")


def found_libraries() -> dict[str, Callable[..., None]]:
    """Return what runs each library that can be imported."""
    found: dict[str, Callable[..., None]] = {}
    for name, prepare, run in (
        ("textbrewer", lambda: importlib.import_module("textbrewer"), with_textbrewer),
        ("torchdistill", prepare_torchdistill, with_torchdistill),
    ):
        try:
            prepare()
            found[name] = run
        except (ImportError, RuntimeError) as error:
            print(f"{name}: left out, {error}", flush=True)
    return found


def ours(
    rows: TokenRows,
    teacher: nn.Module,
    student: Callable[[], Any],
    task: TaskParams,
    settings: RuntimeParams,
    scratch: Path,
) -> dict[str, Seconds]:
    """Return what the teacher's pass took, the distillation after it, and as many epochs on the labels alone."""
    dtype, said = runtime.autocast_dtype(settings), {}

    def ask() -> None:
        inputs, folder = {"teacher": "MiniLM", "rows": "sentences"}, scratch / "said"
        copied: Any = copy.deepcopy(teacher)
        said.update(
            cached_outputs({"train": rows}, lambda: copied, folder=folder, inputs=inputs, states=(), dtype=dtype)
        )

    def train(loss: nn.Module, lessons: Any, collate: Any, name: str) -> None:
        trainer.train(
            loss,
            lessons,
            collate,
            training=task.distill.training,
            runtime=settings,
            checkpoints=scratch / name,
            lengths=rows.lengths,
            name=name,
        )

    def labelled(batch: list[Any], generator: np.random.Generator) -> Batch:
        return HEAD.collate(batch, 0)

    def taught(batch: list[Any], generator: np.random.Generator) -> Batch:
        own, its = zip(*batch, strict=True)
        return with_teacher(HEAD.collate(own, 0), its)

    took = {"teacher": timed(ask)}
    lessons = Lessons(HEAD.rows(rows), said["train"])
    width = int(getattr(teacher, "config").hidden_size)  # noqa: B009 torch types it as a tensor
    loss = DistillationLoss(HEAD, student(), task.distill, width)
    took["distilled"] = timed(functools.partial(train, loss, lessons, taught, "distilled"))
    took["labels"] = timed(functools.partial(train, HEAD.loss(student()), HEAD.rows(rows), labelled, "labels"))
    return took


def main() -> None:
    """Run the pairs and print a line for each and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    options = parser.parse_args()
    settings = RuntimeParams(seed=0, threads=options.threads, precision=options.precision)
    precision = str(runtime.prepare(settings)).removeprefix("torch.")
    libraries, folder, task = found_libraries(), pretrained_folder(), task_of(options.epochs)
    texts, labels = reviews("rotten_tomatoes")
    chosen = np.random.default_rng(0).permutation(len(texts))[: options.rows]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer([texts[i] for i in chosen], truncation=True, max_length=LENGTH)["input_ids"]
    rows = TokenRows.from_rows(ids, labels[chosen], np.dtype(np.uint16))
    teacher = HEAD.from_pretrained(folder, dropout=0.0, seed=0).eval()
    size, names = teacher.config.vocab_size, HEAD.names

    def student() -> Any:
        head = HEAD.head
        return build_student(task.student, head=head, vocabulary_size=size, pad_token_id=0, seed=0, **names).train()

    def run(name: str) -> dict[str, Seconds]:
        set_up(settings, ours=name == "ours")
        with tempfile.TemporaryDirectory() as scratch:
            if name == "ours":
                return ours(rows, teacher, student, task, settings, Path(scratch))
            pupil, its = student(), copy.deepcopy(teacher)
            return {name: timed(lambda: libraries[name](ids, its, pupil, task, Path(scratch)))}

    print(
        f"{options.threads} threads, {len(rows)} rows of {rows.lengths.mean():.1f} tokens; ours {precision}", flush=True
    )
    pairs: list[dict[str, float]] = []
    order = ["ours", *libraries]
    for pair in range(options.pairs):
        took: dict[str, Seconds] = {}
        for name in order[pair % len(order) :] + order[: pair % len(order)]:
            took |= run(name)
        total, labels_alone = (
            Seconds(*(sum(parts) for parts in zip(took["teacher"], took[name], strict=True)))
            for name in ("distilled", "labels")
        )
        pairs.append(
            {
                **{f"seconds_{name}": round(seconds.wall, 2) for name, seconds in took.items()},
                **{f"ratio_to_{name}": round(took[name].wall / total.wall, 2) for name in libraries},
                **{f"processor_{name}": round(took[name].processor / total.processor, 2) for name in libraries},
                "teacher_share": round(total.wall / labels_alone.wall, 3),
                "processor_teacher_share": round(total.processor / labels_alone.processor, 3),
            }
        )
        print(f"pair {pair + 1}: {pairs[-1]}", flush=True)

    def median(key: str) -> float:
        return statistics.median(pair[key] for pair in pairs)

    result = {
        "pairs": pairs,
        "median_ratios": {name: median(f"ratio_to_{name}") for name in libraries},
        "median_processor_ratios": {name: median(f"processor_{name}") for name in libraries},
        "median_teacher_share": median("teacher_share"),
        "median_processor_teacher_share": median("processor_teacher_share"),
        "goals": GOALS,
        "precision": precision,
        "threads": options.threads,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
