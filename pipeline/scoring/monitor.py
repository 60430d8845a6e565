"""reports/monitor/TASK.html: what the runs of `stillhouse score` answered over time, on one page that needs no network.

Each run leaves its counts in reports/monitor/TASK, and the page is made of them anew.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from markupsafe import Markup

from pipeline.evaluation import charts
from pipeline.files import read_json, write_json, write_text
from pipeline.scoring.summary import ABSTAINED, Tally, drift
from pipeline.templates import templates

FOLDER = Path("reports/monitor")
FALSE_ALARMS = 0.01  # of a run: how probable a mark is where nothing has changed
ASPECTS = {
    "characters": "length",
    "label": "labels",
    "score": "confidence",
    "similarity": "similarity",
    "written": "length of what was written",
}
Record = dict[str, Any]


def record_run(task: str, run: Record, tally: Tally, reference: Tally | None) -> Path:
    """Keep the counts of a run and write the page again; return where it is.

    `run` says what was scored: `source`, `source_sha256`, `output`, `model`. The same source and model are one run.
    """
    name = f"{run['source_sha256'][:12]}-{run['model'].rpartition('/')[2]}.json"
    found = run | {
        "scored_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "tally": tally.as_json(),
        "means": {aspect: tally.mean(aspect) for aspect in tally.counts if aspect != "label"},
        "label_shares": tally.shares("label") if "label" in tally.counts else {},
        "test_rows": reference.as_json() if reference else None,
        "drift": drift(tally, reference),
    }
    page = FOLDER / f"{task}.html"
    Path(".stillhouse").mkdir(exist_ok=True)
    with FileLock(".stillhouse/report.lock"):
        write_json(FOLDER / task / name, found)
        runs = sorted(map(read_json, (FOLDER / task).glob("*.json")), key=lambda run: (run["scored_at"], run["source"]))
        write_text(page, monitor_page(task, runs))
    return page


def monitor_page(task: str, runs: list[Record]) -> str:
    """Return the page of runs, oldest first, as HTML that stands alone; every character of theirs is escaped."""
    environment = templates(Path(__file__).parent)
    aspects = {aspect: ASPECTS[aspect] for aspect in ASPECTS if any(aspect in run["tally"]["counts"] for run in runs)}
    return environment.get_template("page.html").render(
        task=task,
        runs=list(reversed(runs)),
        aspects=aspects,
        abstained=[run["tally"]["counts"].get("label", {}).get(ABSTAINED, 0) for run in reversed(runs)],
        drifted=lambda run, aspect: run["drift"][aspect]["p_value"] < FALSE_ALARMS / len(run["drift"]),
        charts={title: Markup(chart) for title, chart in _charts(task, runs, aspects)},
    )


def _charts(task: str, runs: list[Record], aspects: dict[str, str]) -> list[tuple[str, str]]:
    """Return the charts by their titles: means and label shares over the runs, the last run beside the test rows."""
    found = []
    for aspect, name in aspects.items():
        curves = _label_curves(runs) if aspect == "label" else _mean_curves(runs, aspect)
        if len(runs) > 1 and curves:
            title = "Shares of labels over the runs" if aspect == "label" else f"Mean {name} over the runs"
            said = "share of answers" if aspect == "label" else name
            found.append((title, charts.curves_chart(curves, said, f"{task}-{aspect}", along="run")))
    found += [
        (f"The last run: {aspects[aspect]}", charts.curves_chart(curves, "share", f"{task}-{aspect}-last", along=name))
        for aspect, name in (("score", "confidence"), ("similarity", "similarity"))
        if (curves := _last_curves(runs[-1], aspect))
    ]
    return found


def _mean_curves(runs: list[Record], aspect: str) -> list[charts.Curve]:
    means = {number: run["means"][aspect] for number, run in enumerate(runs, start=1) if aspect in run["means"]}
    return [charts.Curve("mean", [*means], [*means.values()], charts.FIRST, True)] if means else []


def _label_curves(runs: list[Record]) -> list[charts.Curve]:
    """Return a curve for each of the labels that the last run gave most often."""
    shares = runs[-1]["label_shares"]
    often = sorted(shares, key=lambda label: (-shares[label], label))
    return [
        charts.Curve(
            label,
            list(range(1, len(runs) + 1)),
            [run["label_shares"].get(label, 0) for run in runs],
            colour,
            True,
        )
        for label, colour in zip(often, (charts.FIRST, charts.SECOND, charts.THIRD), strict=False)
    ]


def _last_curves(run: Record, aspect: str) -> list[charts.Curve]:
    curves, sides = [], (("this run", run["tally"], charts.FIRST), ("test rows", run["test_rows"], charts.MUTED))
    for name, found, colour in sides:
        if found and aspect in found["counts"]:
            shares = Tally.from_json(found).shares(aspect)
            curves.append(charts.Curve(name, [*map(float, shares)], [*shares.values()], colour, name != "this run"))
    return curves
