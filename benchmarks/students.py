"""Accuracy against size and speed: several students of one teacher, and the linear model that it taught.

    python benchmarks/students.py [--task T] [--students 2x128 3x192 bilstm-300 …] [--pairs 5] [--out FILE.svg]

Needs what `make run` leaves in data and models, of a task that labels texts. A student is its layers by its width, with
twice the width in its feed-forward network and as many heads as that of params.yaml where they divide the width, or a
BiLSTM of a width; the rest is that of params.yaml. Losses of layers are left out where a student's family or heads are
not the teacher's or `relation_heads` do not divide its width, else those of the teacher that params.yaml names are
compared with its last ones: so students of any depth learn from one cache, and the teacher is asked once more at most,
for its answers alone.
Bytes are those of the folder in float32, tokenizer included. How many times the teacher's throughput is the median over
pairs, on one thread at batch 1 and at batch 32, both in PyTorch in float32 and both exported in 8 bits, which a BiLSTM
cannot be. Accuracy is that on test, and on dev, by which a student is chosen; `without` is the same student without a
teacher. Each is a line of JSON, and then the picture is drawn.
"""

import argparse
import json
import pickle
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from inference import ROWS, Seconds, exported, turns
from matplotlib.figure import Figure
from quality_against_minutes import MODELS, TOKENS, reached, taught, with_task

from pipeline.architectures.shape import shape_of
from pipeline.evaluation.baselines import fit_to_teacher
from pipeline.evaluation.efficiency import machine, size
from pipeline.evaluation.table import read_labelled_texts, read_texts
from pipeline.params import DistillParams, Params, load_params
from pipeline.params.fit import TeacherShape
from pipeline.params.task_types import OF_HEADS, OF_LAYERS, RELATIONS
from pipeline.params.training import ArchitectureParams
from pipeline.tasks import TASKS
from pipeline.tokenization.ragged import TokenRows, open_array

Point = dict[str, Any]
DATA, EVALUATED = Path("data"), ("dev", "test")


def shape(name: str, shipped: ArchitectureParams) -> ArchitectureParams:
    """Return the architecture that a name such as 2x128 or bilstm-300 stands for, beside the one of params.yaml."""
    found = re.fullmatch(r"(?:(\d+)x|bilstm-)(\d+)", name)
    if found is None:
        raise SystemExit(f"--students: {name}, expected LAYERSxWIDTH or bilstm-WIDTH")
    width = int(found[2])
    given: dict[str, Any] = {"max_length": shipped.max_length, "dropout": 0.0}
    if found[1] is None:
        given |= {"family": "bilstm", "layers": 1, "attention_heads": None, "intermediate_size": 200}
    else:
        usual = [shipped.attention_heads or 0, *range(max(1, width // 32), 0, -1)]
        heads = next(heads for heads in usual if heads and width % heads == 0)
        given |= {"family": "bert", "layers": int(found[1]), "attention_heads": heads, "intermediate_size": 2 * width}
    return ArchitectureParams.model_validate({**given, "hidden_size": width})


def lessons(distill: DistillParams, student: ArchitectureParams, teacher: TeacherShape) -> DistillParams:
    """Return what a student of that shape can learn by; its last layers are compared with what params.yaml's are."""
    if student.family != teacher.family:
        unfit: tuple[str, ...] = OF_LAYERS
    else:
        unfit = OF_HEADS if student.attention_heads != teacher.attention_heads else ()
        unfit += RELATIONS if student.hidden_size % (distill.relation_heads or 1) else ()
    compared = [its for own, its in distill.layer_map if own][-student.layers :]
    pairs = [
        list(pair) for pair in zip(range(student.layers - len(compared) + 1, student.layers + 1), compared, strict=True)
    ]
    changes = {"losses": distill.losses.model_copy(update=dict.fromkeys(unfit, 0.0)), "layer_map": pairs}
    relations = [[student.layers, its] for _, its in distill.relation_map[-1:]]
    return distill.model_copy(update=changes | {"relation_map": relations})


class Teacher:
    """What every student is held against: the teacher in PyTorch and exported, over the rows of test."""

    def __init__(self, params: Params, task: str, pairs: int, scratch: Path) -> None:
        self.head, self.pairs = TASKS[params.tasks[task].type]().from_params(params.tasks[task]), pairs
        self.tokens = TOKENS / task
        self.runs = self._runs(MODELS / task / "teacher", "teacher", scratch)

    def _runs(self, folder: Path, side: str, graph: Path | None) -> dict[str, Any]:
        forms = {"pytorch": folder}
        if graph is not None:
            forms["int8"] = exported(folder, self.tokens / side, None, "int8", graph)
        rows = TokenRows.load(self.tokens / side / "test")
        return {form: turns(self.head.load(at).eval(), rows) for form, at in forms.items()}

    def held_against(self, folder: Path, graph: Path | None) -> dict[str, dict[str, float]]:
        """Return how many times the teacher's throughput a student's is, by form and size of a batch.

        graph: an empty folder to export to, None for a student that cannot be exported.
        """
        return {
            form: {str(size): self._times(run[size], self.runs[form][size]) for size in ROWS}
            for form, run in self._runs(folder, "student", graph).items()
        }

    def _times(self, ours: Any, theirs: Any) -> float:
        ratios = []
        for _ in range(self.pairs):
            of_teacher: Seconds = theirs()
            ratios.append(of_teacher.wall / ours().wall)
        return round(statistics.median(ratios), 1)


def linear(params: Params, task: str, teacher: Teacher) -> Point:
    """Return the point of the linear model on the teacher's soft labels."""
    section, folder = params.tasks[task], DATA / "validated" / params.tasks[task].dataset
    rows = {
        split: read_labelled_texts(folder / f"{split}.parquet", section.type, section.labels)
        for split in ("train", *EVALUATED)
    }
    said = [open_array(DATA / "transfer" / f"{task}-soft-labels/{split}.npy") for split in ("train", "transfer")]
    texts = rows["train"].words + read_texts(DATA / "transfer" / f"{task}.parquet")
    model = fit_to_teacher(texts, np.concatenate(said), rows["dev"])
    test = rows["test"].words

    def seconds(size: int) -> float:
        chosen, begun = test[: ROWS[size]], time.perf_counter()
        for start in range(0, len(chosen), size):
            model.predict(chosen[start : start + size])
        return (time.perf_counter() - begun) / len(chosen)

    times = {
        str(size): round(statistics.median(run().wall / seconds(size) for _ in range(teacher.pairs)), 1)
        for size, run in teacher.runs["pytorch"].items()
    }
    weights, logistic = (step for _, step in model.steps)
    found = {split: round(float(model.score(rows[split].words, rows[split].actual)), 4) for split in EVALUATED}
    told = {"parameters": int(logistic.coef_.size), "bytes": len(pickle.dumps((weights.vocabulary_, logistic)))}
    return {"model": "linear, words and pairs", **told, **found, "times": {"pytorch": times}}


def draw(points: list[Point]) -> Figure:
    """Return accuracy on test over the throughput at batch 32, a circle as large as the model's bytes."""
    figure = Figure(figsize=(8.0, 4.5), layout="constrained")
    axes = figure.subplots()
    teacher, *students = points
    for number, point in enumerate(sorted(students, key=lambda point: point["times"]["pytorch"]["32"])):
        at = point["times"]["pytorch"]["32"], 100 * point["test"]
        axes.scatter(*at, s=point["bytes"] / 1e5, color="#2f7f6f", alpha=0.6)
        beside, side = ((10, 4), "left") if number % 2 == 0 else ((-10, -11), "right")  # so that neighbours can be read
        told = f"{point['model']}, {point['bytes'] / 1e6:.1f} MB"
        axes.annotate(told, at, beside, textcoords="offset points", horizontalalignment=side)
    axes.axhline(100 * teacher["test"], color="#777777", linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("times the teacher's rows a second, batch 32, PyTorch, float32")
    axes.set_ylabel("accuracy on test, % (dashed: the teacher)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.15)
    return figure


def main() -> None:
    """Train the students, print a line for each, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task")
    parser.add_argument("--students", nargs="+", default=["2x96", "2x128", "2x192", "3x192", "4x192", "bilstm-300"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    params = load_params(Path("params.yaml"))
    task = options.task or next(iter(params.tasks))
    shapes = {name: shape(name, params.tasks[task].student.architecture) for name in options.students}
    tokens, folder = TOKENS / task, MODELS / task
    with tempfile.TemporaryDirectory() as scratch:
        torch.set_num_threads(1)
        teacher = Teacher(params, task, options.pairs, Path(scratch))
        found = size(folder / "teacher") | reached(params, task, folder / "teacher", tokens / "teacher")
        points: list[Point] = [{"model": "teacher", **found, "machine": machine()}, linear(params, task, teacher)]
        for point in points:
            print(json.dumps(point), flush=True)
    for name, architecture in shapes.items():
        section = params.tasks[task].student.model_copy(update={"architecture": architecture, "layers": "random"})
        with tempfile.TemporaryDirectory() as scratch:
            work, begun = Path(scratch), time.perf_counter()
            learnt_by = lessons(params.tasks[task].distill, architecture, shape_of(folder / "teacher"))
            changed = with_task(params, task, student=section, distill=learnt_by)
            taught(changed, task, tokens, folder / "student_tokenizer", work / "none", work)
            minutes = round((time.perf_counter() - begun) / 60, 1)
            torch.set_num_threads(1)
            reach = {
                side: reached(params, task, work / side, tokens / "student") for side in ("student", "undistilled")
            }
            point = {"model": name, **size(work / "student"), **reach["student"], "minutes": minutes}
            graph = work / "graph" if architecture.family == "bert" else None
            point |= {"without": reach["undistilled"], "times": teacher.held_against(work / "student", graph)}
        points.append(point)
        print(json.dumps(point), flush=True)
    if options.out:
        matplotlib.rcParams.update({"svg.hashsalt": "stillhouse", "svg.fonttype": "none", "font.size": 9})
        draw(points).savefig(options.out, metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    main()
