"""reports/index.html: everything a run produced, on one page that needs no network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pipeline.evaluation import charts, mistakes
from pipeline.evaluation.dag import Stage
from pipeline.evaluation.figures import FIGURES, slice_metric
from pipeline.evaluation.report import KINDS, PLAIN, best_first, conclusions, display_name
from pipeline.files import read_json
from pipeline.params import Params
from pipeline.templates import templates

# so little that beside them all others would stand on one spot
KNOW_LITTLE = ("majority", "same_labels", "most_frequent_tag", "character_unigram")
LINEAGE = {  # what a version rests on, the last thing made first
    "exported": "the student as it is served",
    "student": "student",
    "teacher": "teacher",
    "pretrained": "language model",
    "rows": "rows of the task",
    "corpus": "text for pretraining and transfer",
    "evaluation": "evaluation",
    "predictions": "answers to the test rows",
}
CLASSES_SHOWN = 20  # of the confusion matrix: more fit no screen
LEAST_POINTS = 1.0  # of a hundred that an axis spans: what is less between two epochs is a few rows of dev
SMALL_SHOWN = 10  # groups of a slice that are too small for a figure
Records = list[dict[str, Any]]


def index_page(reports: Path, params: Params, summary: dict[str, Any], stages: Sequence[Stage] = ()) -> str:
    """Return the page as HTML that stands alone; texts of the data are quoted with every character escaped.

    `summary` is what `report.summary` returned, `stages` what `dag.read_stages` did; all else is read from `reports`.
    """
    environment = templates(Path(__file__).parent)
    environment.globals["display_name"] = display_name
    environment.globals["shown"] = lambda figure, value: FIGURES[figure].shown(value)
    environment.globals["change"] = lambda figure, value, sign="+": FIGURES[figure].change(value, sign)
    environment.globals["change_interval"] = lambda figure, bounds: FIGURES[figure].change_interval(bounds)
    pretraining = _history(reports / "pretrain" / "history.json")
    return environment.get_template("page.html").render(
        datasets=_datasets(reports, params),
        stages=stages,
        stages_chart=_stages_chart(stages),
        corpus=params.corpus.dataset,
        weights=params.init_from,
        pretraining=pretraining,
        pretraining_chart=_loss_chart(pretraining, "pretrain"),
        continued=_comparison(reports / "pretrain" / "comparison.json", params),
        tasks={name: _task(reports / name, name, params, task) for name, task in summary["tasks"].items()},
    )


def _task(folder: Path, name: str, params: Params, summary: dict[str, Any]) -> dict[str, Any]:
    evaluation = read_json(folder / "evaluation.json")
    metric, models = evaluation["metric"], _models(evaluation)
    said, axis = display_name(metric), _axis(metric)
    measured = [_measured(*model, metric) for model in models if model[0] not in KNOW_LITTLE]
    drawn = [_cost(model, summary[model], metric) for model in ("teacher", "student")]
    registered = read_json(folder / "registered.json")
    timings = registered["timings"]
    finetuning, distillation = _history(folder / "finetune.json"), _history(folder / "distill.json")
    return {
        "summary": summary,
        "evaluation": evaluation,
        "kinds": KINDS,
        "dataset": params.tasks[name].dataset,
        "conclusions": conclusions(summary),
        "timings": timings,
        "lineage": [(LINEAGE[link], registered["lineage"][link]) for link in LINEAGE if link in registered["lineage"]],
        "costs": _costs(summary, timings),
        "figures": [figure for figure in FIGURES if figure in evaluation["student"]],
        "models": models,
        "slice_metric": slice_metric(metric),
        "small_slices": _small_slices(evaluation["slices"]),
        "min_slice_rows": params.tasks[name].evaluate.min_slice_rows,
        "score_chart": Markup(charts.score_chart(measured, axis, f"{name}-score")),
        "minutes_chart": _minutes_chart(folder / "quality_against_minutes.json", name, metric, params),
        "cost_chart": Markup(charts.cost_chart(drawn, axis, f"{name}-cost")),
        "reliability_chart": _reliability_chart(evaluation, name),
        "curves": {
            "Teacher, loss": _loss_chart(finetuning, f"{name}-finetune"),
            f"Teacher, {said} on dev": _score_chart(finetuning, metric, f"{name}-finetune-score"),
            "Student, loss": _loss_chart(distillation, f"{name}-distill"),
            f"Student, {said} on dev": _score_chart(distillation, metric, f"{name}-distill-score"),
        },
        "confusion": _confusion(evaluation),
        "mistakes": mistakes.worst_rows(folder / "predictions.parquet", evaluation["labels"]),
    }


def _models(evaluation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    networks = [(name, evaluation[name]) for name in ("teacher", "student")]
    models, metric = dict(networks) | evaluation["baselines"], evaluation["metric"]
    order = best_first(metric, {name: figures[metric] for name, figures in models.items()})
    return [(name, models[name]) for name, _ in order]


def _small_slices(records: Records) -> dict[str, dict[str, Any]]:
    """Return for each heading some groups that have no figure, the largest first, and how many further ones do not."""
    small: dict[str, Records] = {}
    for record in sorted(records, key=lambda record: -record["rows"]):
        if record["student"] is None:
            small.setdefault(record["slice"], []).append(record)
    return {
        heading: {
            "names": [f"{record['value']} ({record['rows']})" for record in found[:SMALL_SHOWN]],
            "further": len(found[SMALL_SHOWN:]),
        }
        for heading, found in small.items()
    }


def _costs(summary: dict[str, Any], timings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return size and speed of teacher and student, and of the student before it was exported where it was."""
    costs = {model: summary[model] for model in ("teacher", "student")}
    if summary["exported"]:
        costs |= {PLAIN: summary["exported"][PLAIN] | timings[PLAIN]}
    return costs


def _measured(name: str, figures: dict[str, Any], metric: str) -> charts.Measured:
    colour = {"teacher": charts.SECOND, "student": charts.FIRST}.get(name, charts.MUTED)
    low, high = figures["interval"]
    figure, score = FIGURES[metric], figures[metric]
    label = f"{display_name(name)}  {figure.shown(score)}"
    return charts.Measured(label, figure.drawn(score), (figure.drawn(low), figure.drawn(high)), colour)


def _axis(metric: str, split: str = "test") -> str:
    return f"{display_name(metric)} on {split}" + (", %" if FIGURES[metric].unit == "%" else "")


def _cost(name: str, figures: dict[str, Any], metric: str) -> charts.Cost:
    score = FIGURES[metric].drawn(figures[metric])
    return charts.Cost(name, figures["parameters"], score, figures["rows_per_second"])


def _reliability_chart(evaluation: dict[str, Any], name: str) -> Markup | None:
    if not evaluation["reliability"]:
        return None
    before = (evaluation.get("calibration") or {"before": {"reliability": []}})["before"]["reliability"]
    return Markup(charts.reliability_chart(evaluation["reliability"], f"{name}-reliability", before))


def _minutes_chart(path: Path, name: str, metric: str, params: Params) -> Markup | None:
    """Draw what benchmarks/quality_against_minutes.py found, where it was for these parameters."""
    found = _optional(path)
    if not found or found["params"] != params.tasks[name].model_dump(mode="json"):
        return None
    curves: dict[str, list[charts.Reached]] = {}
    for point in found["points"]:
        reached = charts.Reached(point["minutes"], FIGURES[metric].drawn(point["test"]), point["after"])
        curves.setdefault(point["model"], []).append(reached)
    return Markup(charts.minutes_chart(curves, _axis(metric), f"{name}-minutes"))


def _loss_chart(history: Records, name: str) -> Markup | None:
    curves = _curves(history, "loss", ("train", "dev"))
    return Markup(charts.curves_chart(curves, "loss", f"{name}-loss")) if curves else None


def _score_chart(history: Records, metric: str, name: str) -> Markup | None:
    figure = FIGURES[metric]
    drawn = [
        curve._replace(values=[figure.drawn(value) for value in curve.values])
        for curve in _curves(history, metric, ("dev",))
    ]
    least = LEAST_POINTS if figure.unit else 0.0
    return Markup(charts.curves_chart(drawn, _axis(metric, "dev"), name, least=least)) if drawn else None


def _curves(history: Records, figure: str, splits: tuple[str, ...]) -> list[charts.Curve]:
    """Return one curve for each model and split that has the figure; dev, which is read rarely, is dashed with dots."""
    curves = []
    models = list(dict.fromkeys(record.get("model", "") for record in history))
    for model, colour in zip(models, (charts.FIRST, charts.SECOND, charts.THIRD), strict=False):
        for split in splits:
            points = [
                (record["step"], record[figure])
                for record in history
                if record.get("model", "") == model and record["split"] == split and record.get(figure) is not None
            ]
            if points:
                steps, values = zip(*points, strict=True)
                label = f"{display_name(model)}, {split}" if model else split
                curves.append(charts.Curve(label, steps, values, colour, split == "dev"))
    return curves


def _confusion(evaluation: dict[str, Any]) -> dict[str, Any] | None:
    """Return the confusion matrix of the classes that are most often the actual or the named one: CLASSES_SHOWN.

    None for a task without classes.
    """
    classes, counts = evaluation["classes"], evaluation["confusion"]
    if not classes:
        return None
    named = [sum(column) for column in zip(*counts, strict=True)]
    often = sorted(range(len(classes)), key=lambda index: -sum(counts[index]) - named[index])
    shown = sorted(often[:CLASSES_SHOWN])
    return {
        "classes": [classes[index] for index in shown],
        "rows": [{"label": classes[row], "counts": [counts[row][column] for column in shown]} for row in shown],
        "of": len(classes),
    }


def _stages_chart(stages: Sequence[Stage]) -> Markup | None:
    """Draw the stages; those that ran or failed stand out."""
    colours = {"ran": charts.FIRST, "failed": charts.SECOND}
    boxes = [charts.Box(*stage, colours.get(stage.outcome.partition(",")[0], charts.LINE)) for stage in stages]
    return Markup(charts.graph_chart(boxes, "stages")) if boxes else None


def _datasets(reports: Path, params: Params) -> dict[str, Any]:
    """Return the validation summary of each dataset that has one."""
    found = {name: _optional(reports / "validation" / f"{name}.json") for name in params.datasets}
    return {name: summary for name, summary in found.items() if summary}


def _history(path: Path) -> Records:
    return _optional(path) or []


def _comparison(path: Path, params: Params) -> Any:
    """Return what benchmarks/continued_pretraining.py found, where it was for this corpus and these first weights."""
    found = _optional(path)
    used = {"corpus": params.corpus.dataset, "init_from": params.init_from.model_dump(mode="json")}
    return found if found and {name: found[name] for name in used} == used else None


def _optional(path: Path) -> Any:
    return read_json(path) if path.exists() else None
