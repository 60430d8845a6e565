"""Draw what the other scripts measured beside their goals.

    python benchmarks/pretraining.py | tee pretraining.txt
    python benchmarks/plot.py --out docs/pictures/performance.svg pretraining.txt finetuning.txt …

Each file is what the script of its name printed; the last line counts.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

Result = dict[str, Any]
MET, MISSED, LINE = "#2f7f6f", "#b5562b", "#777777"


class Bar(NamedTuple):
    """What was measured and its goal; `least` where less is better."""

    label: str
    measured: float
    goal: float
    least: bool = False

    @property
    def times(self) -> float:
        """How many times better than the goal it is: 1 is the goal itself."""
        return self.goal / self.measured if self.least else self.measured / self.goal

    @property
    def figures(self) -> str:
        """What stands beside the bar."""
        return f"{self.measured:.3g}, goal {self.goal:g}"


def _against_trainer(what: str) -> Callable[[Result], list[Bar]]:
    def bars(result: Result) -> list[Bar]:
        ratios, goals = result["median_ratios"], result["goals"]
        named = {"tuned": "the Trainer, tuned", "reference": "the Trainer as in the examples"}
        return [Bar(f"{what} against {named[key]}", ratios[key], goals[key]) for key in goals]

    return bars


def _distillation(result: Result) -> list[Bar]:
    ratios, goals = result["median_ratios"], result["goals"]
    bars = [Bar(f"distillation against {name}", ratio, goals["ratio"]) for name, ratio in ratios.items()]
    share = result["median_teacher_share"]
    return [*bars, Bar("distillation, time of training alone", share, goals["teacher_share"], least=True)]


def _tokenization(result: Result) -> list[Bar]:
    return [
        Bar("tokenizing against encode_batch", result["median_ratio"], result["goals"]["ratio"]),
        Bar("tokenizing 1 GB, megabytes", result["peak_megabytes"], result["goals"]["megabytes"], least=True),
    ]


def _validation(result: Result) -> list[Bar]:
    return [
        Bar("validating, time of a pass of pandas", result["median_ratio"], result["goals"]["ratio"], least=True),
        Bar("validating 1 GB, megabytes more than for 100 MB", result["growth"], result["goals"]["growth"], least=True),
    ]


def _overhead(result: Result) -> list[Bar]:
    labels = {
        "share": "the pipeline's own share of the default job",
        "no_op_dvc_seconds": "dvc repro with nothing to do, seconds",
        "no_op_flow_seconds": "the flow with nothing to do, seconds",
    }
    return [Bar(label, result[key], result["goals"][key], least=True) for key, label in labels.items()]


def _inference(result: Result) -> list[Bar]:
    bars = [
        Bar(f"student in int8 against {name}, batch {size}", found["ratio"], found["goal"])
        for size, figures in result["batches"].items()
        for name, found in figures["times_faster"].items()
        if "goal" in found
    ]
    return [
        *bars,
        Bar("student's bytes against the teacher's", *(result["times_smaller"][k] for k in ("weights", "goal"))),
    ]


def _growth(result: Result) -> list[Bar]:
    found, goals = result["all"], result["goals"]
    more = found["megabytes"][-1] - found["megabytes"][0]
    return [
        Bar("a corpus 16 times as large, time of linear", found["bend"], goals["bend"][1], least=True),
        Bar("a corpus 16 times as large, megabytes more", more, goals["megabytes"], least=True),
    ]


BARS: dict[str, Callable[[Result], list[Bar]]] = {
    "pretraining": _against_trainer("pretraining"),
    "finetuning": _against_trainer("fine-tuning"),
    "distillation": _distillation,
    "tokenization": _tokenization,
    "validation": _validation,
    "overhead": _overhead,
    "inference": _inference,
    "growth": _growth,
}


def draw(bars: list[Bar]) -> Figure:
    """Return a bar for each figure, as long as it is better than its goal, on a scale of factors."""
    figure = Figure(figsize=(9.0, 0.8 + 0.32 * len(bars)), layout="constrained")
    axes = figure.subplots()
    places = range(len(bars), 0, -1)
    colours = [MET if bar.times >= 1 else MISSED for bar in bars]
    axes.barh(places, [bar.times - 1 for bar in bars], left=1, color=colours, height=0.6)
    for place, bar in zip(places, bars, strict=True):
        axes.annotate(bar.figures, (max(bar.times, 1), place), (5, 0), textcoords="offset points", va="center")
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(0.5, *(bar.times / 1.2 for bar in bars)), 3 * max(bar.times for bar in bars))
    axes.xaxis.set_major_formatter(lambda times, _: f"{times:g}")
    axes.set_yticks(list(places), [bar.label for bar in bars])
    axes.axvline(1, color=LINE, linewidth=1)
    axes.set_xlabel("times better than the goal")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def main() -> None:
    """Draw the files that are named into one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/performance.svg"))
    options = parser.parse_args()
    bars = []
    for file in options.files:
        if file.stem not in BARS:
            raise SystemExit(f"{file}: expected the name of one of {', '.join(BARS)}")
        bars += BARS[file.stem](json.loads(file.read_text(encoding="utf-8").splitlines()[-1]))
    matplotlib.rcParams.update({"svg.hashsalt": "stillhouse", "svg.fonttype": "none", "font.size": 9})
    draw(bars).savefig(options.out, metadata={"Date": None}, facecolor="white")
    print(f"{len(bars)} figures drawn into {options.out}")


if __name__ == "__main__":
    main()
