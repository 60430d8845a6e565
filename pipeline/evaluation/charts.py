"""Charts as SVG text to stand in a page: text stays text, colours are the page's own, equal figures give equal bytes.

matplotlib, because it comes with MLflow; what draws in the browser would put megabytes of script into every page.
"""

import io
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# matplotlib wants fixed colours, the page has light and dark ones: these stand in until they are exchanged
TEXT, MUTED, LINE, FIRST, SECOND, THIRD, PAGE = (f"#00000{digit}" for digit in range(1, 8))
PAGE_COLOURS = {
    TEXT: "currentColor",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
    PAGE: "var(--page)",
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "stillhouse",
    "font.size": 10,
    "text.color": TEXT,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.formatter.useoffset": False,
}
COUNTED = ("step", "run")  # there is nothing between two of them
WIDTH = 5.0  # inches: 360 points, so that letters keep their size on a phone


class Measured(NamedTuple):
    """A model's score and its interval; `colour` tells networks from baselines."""

    name: str
    score: float
    interval: tuple[float, float]
    colour: str


class Cost(NamedTuple):
    """What a network costs and what it gives."""

    name: str
    parameters: int
    score: float
    rows_per_second: float


class Reached(NamedTuple):
    """A network's score on test, the minutes of work it took, and after how much of what (`2 epochs`)."""

    minutes: float
    score: float
    after: str


class Box(NamedTuple):
    """A stage in a graph: the names of those before it, the words under its name, its layer from below."""

    name: str
    upstreams: Sequence[str]
    words: str
    layer: int
    colour: str


class Curve(NamedTuple):
    """A figure over the steps of a run, or over whatever else."""

    name: str
    steps: Sequence[float]
    values: Sequence[float]
    colour: str
    dashed: bool


def score_chart(models: Sequence[Measured], metric: str, name: str) -> str:
    """Draw each model's score with its interval, the first on top; `name` keeps the ids inside the page apart.

    `metric` says in words what is drawn, here and below.
    """
    ordered = list(reversed(models))
    figure, axes = _figure(height=0.6 + 0.32 * len(ordered))
    for position, model in enumerate(ordered):
        axes.plot(model.interval, [position] * 2, color=model.colour, linewidth=2.5)
        axes.plot([model.score], [position], "o", color=model.colour, markersize=6)
    axes.set_yticks(range(len(ordered)), [model.name for model in ordered], color=TEXT)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_xlabel(metric)
    axes.grid(axis="y", visible=False)
    return _svg(figure, name)


def curves_chart(curves: Sequence[Curve], label: str, name: str, along: str = "step", least: float = 0.0) -> str:
    """Draw figures over steps, or over what `along` says they are; upwards the axis spans `least` or more."""
    figure, axes = _figure(height=2.8)
    for curve in curves:
        style: dict[str, Any] = {"color": curve.colour, "linestyle": "--" if curve.dashed else "-"}
        axes.plot(curve.steps, curve.values, linewidth=1.6, marker="o" if curve.dashed else "", markersize=3, **style)
        axes.plot([], [], label=curve.name, **style)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=along in COUNTED, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))  # quarters would need a digit more
    low, high = axes.get_ylim()
    if high - low < least:
        axes.set_ylim((low + high - least) / 2, (low + high + least) / 2)
    axes.set_xlabel(along)
    axes.set_ylabel(label)
    axes.legend(labelcolor=TEXT, fontsize=9, frameon=False)
    return _svg(figure, name)


def reliability_chart(table: Sequence[dict[str, float]], name: str, before: Sequence[dict[str, float]] = ()) -> str:
    """Draw accuracy over confidence with the diagonal, on which a well-calibrated model lies; area shows rows.

    before: the table of the same model without its temperature, drawn beside it.
    """
    figure, axes = _figure(height=3.0)
    most = max(record["rows"] for record in table)
    confidence = [record["confidence"] for record in table]
    low = min(record[axis] for record in [*table, *before] for axis in ("confidence", "accuracy")) - 0.05
    axes.plot([low, 1], [low, 1], color=MUTED, linestyle=":", linewidth=1.2)
    axes.plot(
        *([record[axis] for record in before] for axis in ("confidence", "accuracy")), color=MUTED, linestyle="--"
    )
    axes.plot(confidence, [record["accuracy"] for record in table], color=FIRST, linewidth=1.4)
    sizes = [15 + 120 * record["rows"] / most for record in table]
    axes.scatter(confidence, [record["accuracy"] for record in table], s=sizes, color=FIRST)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    return _svg(figure, name)


def cost_chart(models: Sequence[Cost], metric: str, name: str) -> str:
    """Draw scores over parameters (logarithmic); area and the words beside each point show rows per second."""
    figure, axes = _figure(height=2.8)
    fastest = max(model.rows_per_second for model in models)
    for model, colour in zip(models, (SECOND, FIRST), strict=True):
        millions, score = model.parameters / 1e6, model.score
        axes.scatter([millions], [score], s=30 + 400 * model.rows_per_second / fastest, color=colour)
        words = f"{model.name}\n{model.rows_per_second:,.0f} rows/s"
        axes.annotate(words, (millions, score), xytext=(0, 16), textcoords="offset points", ha="center", color=TEXT)
    axes.set_xscale("log")
    axes.margins(x=0.35, y=0.9)
    sizes = sorted({model.parameters / 1e6 for model in models})
    axes.set_xticks(sizes, [f"{size:.3g}" for size in sizes])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("million parameters")
    axes.set_ylabel(metric)
    return _svg(figure, name)


def minutes_chart(curves: Mapping[str, Sequence[Reached]], metric: str, name: str) -> str:
    """Draw what each network reached over the minutes that went into it."""
    figure, axes = _figure(height=3.0)
    for (model, points), colour in zip(curves.items(), (SECOND, FIRST), strict=False):
        minutes, scores = [point.minutes for point in points], [point.score for point in points]
        axes.plot(minutes, scores, "o-", color=colour, linewidth=1.6, markersize=4, label=model)
        for point in points:
            place = (point.minutes, point.score)
            axes.annotate(point.after, place, xytext=(0, 6), textcoords="offset points", fontsize=8, color=MUTED)
    axes.margins(x=0.12, y=0.2)
    axes.set_xlabel("minutes")
    axes.set_ylabel(metric)
    axes.legend(labelcolor=TEXT, fontsize=9, frameon=False, loc="lower right")
    return _svg(figure, name)


def graph_chart(boxes: Sequence[Box], name: str) -> str:
    """Draw boxes that come after one another from top to bottom, each joined to those before it."""
    layers: dict[int, list[Box]] = {}
    for box in boxes:
        layers.setdefault(box.layer, []).append(box)
    places: dict[str, tuple[float, int]] = {}
    figure, axes = _figure(height=0.55 * len(layers))
    for layer in sorted(layers, reverse=True):
        row = sorted(layers[layer], key=lambda box: fmean([places[name][0] for name in box.upstreams] or [0.5]))
        for number, box in enumerate(row, start=1):
            places[box.name] = (number - 0.5) / len(row), layer
            for upstream in box.upstreams:
                axes.plot(*zip(places[upstream], places[box.name], strict=True), color=MUTED, linewidth=1, zorder=1)
    for box in boxes:
        frame = {"boxstyle": "round,pad=0.4", "facecolor": PAGE, "edgecolor": box.colour, "linewidth": 1.2}
        words = f"{box.name}\n{box.words}" if box.words else box.name
        axes.text(*places[box.name], words, ha="center", va="center", fontsize=8, color=TEXT, bbox=frame)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.5, len(layers) - 0.5)
    axes.set_axis_off()
    return _svg(figure, name)


def _figure(height: float) -> tuple[Figure, Axes]:
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]  # the stubs list every key, one by one
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        return figure, figure.add_subplot()


def _svg(figure: Figure, name: str) -> str:
    """Return the figure as an <svg> element, its ids made unique in the page by `name`."""
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(\sid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", svg)
    for placeholder, colour in PAGE_COLOURS.items():
        svg = svg.replace(placeholder, colour)
    return svg
