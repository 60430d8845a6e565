"""The closing table of a run: what came out, as summary.json holds it and as a terminal shows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.evaluation.figures import FIGURES, Figure
from pipeline.files import read_json

if TYPE_CHECKING:
    from rich.console import RenderableType

SIZES = ("interval", "parameters", "bytes")
TIMES = ("rows_per_second", "latency_milliseconds")
COMPARED = (
    "relative_score",
    "relative_score_interval",
    "recovered_share",
    "recovered_share_interval",
    "agreement",
)
PLAIN = "student_in_pytorch"  # the weights that the student, as it is served, was exported from
KINDS = {"rows": "test rows", "templates": "templates"}  # of texts in which people are exchanged
REGISTERED = ("name", "version", "aliases", "decision")
NAMES = {
    "majority": "majority class",
    "naive_bayes": "naive Bayes",
    "tfidf_logistic_regression": "TF-IDF + regression",
    "distilled_tfidf_logistic_regression": "TF-IDF + regression, distilled",
    "frozen_encoder_logistic_regression": "frozen encoder + regression",
    "most_frequent_tag": "most frequent tag of each word",
    "conditional_random_field": "CRF",
    "distilled_conditional_random_field": "CRF, distilled",
    "frozen_encoder_tagger": "frozen encoder + regression",
    "most_similar_sentence": "most similar sentence",
    "frozen_encoder_reader": "frozen encoder + regression",
    "undistilled_student": "student without a teacher",
    PLAIN: "student in PyTorch",
    "character_unigram": "counted characters",
    "character_ngram": "counted runs of characters",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "macro_label_f1": "macro F1 of labels",
    "subset_accuracy": "rows with all labels right",
    "same_labels": "the same labels for all",
    "span_f1": "span F1",
    "token_f1": "token F1",
    "tfidf_cosine": "TF-IDF of words, cosine",
    "character_tfidf_cosine": "TF-IDF of character n-grams, cosine",
    "frozen_encoder_cosine": "frozen encoder, cosine",
    "spearman": "Spearman correlation",
    "bm25": "words, by BM25",
    "bleu": "BLEU",
    "chrf": "chrF",
    "rouge_1": "ROUGE-1",
    "rouge_2": "ROUGE-2",
    "rouge_l": "ROUGE-L",
    "copy": "the text as it is",
    "most_similar_text": "answer to the most similar text",
    "lead": "first three sentences",
}


def summary(reports: Path, tasks: list[str]) -> dict[str, Any]:
    """Return reports/summary.json from what `evaluate` and `register` left of each task.

    A task that is not registered yet is left out. Raises InputError where a file is broken.
    """
    registered = [task for task in tasks if (reports / task / "registered.json").exists()]
    return {"tasks": {task: _task_summary(reports / task) for task in registered}}


def _task_summary(folder: Path) -> dict[str, Any]:
    evaluation, record = read_json(folder / "evaluation.json"), read_json(folder / "registered.json")
    timings, metric = record["timings"], evaluation["metric"]
    networks = {
        name: {key: evaluation[name][key] for key in (metric, *SIZES)} | {key: timings[name][key] for key in TIMES}
        for name in ("teacher", "student")
    }
    teacher, student = networks["teacher"], networks["student"]
    return networks | {
        "metric": metric,
        "rows": evaluation["rows"],
        "confidence": evaluation["confidence"],
        "baselines": {name: figures[metric] for name, figures in evaluation["baselines"].items()},
        "counterfactuals": evaluation.get("counterfactuals", {}),
        "before": record.get("before"),
        "exported": evaluation.get("exported"),
        "calibration": _calibration(evaluation),
        "abstention": evaluation.get("abstention"),
        "comparison": {key: evaluation["comparison"][key] for key in COMPARED}
        | {
            "speed_up": round(student["rows_per_second"] / teacher["rows_per_second"], 2),
            "times_smaller": round(teacher["parameters"] / student["parameters"], 2),
        },
        "registered": {key: record["registered"][key] for key in REGISTERED},
    }


def _calibration(evaluation: dict[str, Any]) -> dict[str, Any] | None:
    """Return the student's temperature and its calibration error without and with it."""
    if not (found := evaluation.get("calibration")):
        return None
    errors = {name: found[name]["calibration_error"] for name in ("before", "after")}
    return {"temperature": found["temperature"], "calibration_error": errors}


def conclusions(task: dict[str, Any]) -> list[str]:
    """Return in plain sentences what a task's summary says; a baseline that beats the student comes first."""
    metric, compared = task["metric"], task["comparison"]
    figure, student, agreement = FIGURES[metric], task["student"][metric], compared["agreement"]
    sentences = [
        f"{display_name(name)} beats the student: {figure.shown(score)} against {figure.shown(student)}."
        for name, score in best_first(metric, task["baselines"])
        if figure.sign * (score - student) > 0
    ]
    low, high = compared["relative_score_interval"]
    sentences.append(
        f"The student keeps {compared['relative_score']:.1%} of the teacher's {display_name(metric)} "
        f"({low:.1%} to {high:.1%}), is {compared['speed_up']:.1f} times as fast at batch 32 and "
        f"{compared['times_smaller']:.1f} times smaller."
    )
    if compared["recovered_share"] is None:
        sentences.append("The teacher is not better than the student without one, so there was nothing to recover.")
    else:
        low, high = compared["recovered_share_interval"]
        agreement = compared["agreement"]
        agrees = "" if agreement is None else f", and agrees with the teacher on {agreement:.1%} of rows"
        sentences.append(
            f"It recovers {compared['recovered_share']:.0%} ({low:.0%} to {high:.0%}) of what the teacher is better by "
            f"than the same student without one{agrees}."
        )
    sentences += _exported(task, figure) + _sure(task)
    return sentences + _made_worse(task.get("counterfactuals", {})) + _changed(task.get("before"))


def _exported(task: dict[str, Any], figure: Figure) -> list[str]:
    """Say in which form the student is served, and what that changed."""
    found, student, metric = task.get("exported"), task["student"], task["metric"]
    if not found:
        return []
    plain = found[PLAIN]
    alike = "" if found["agreement"] is None else f" It answers alike on {found['agreement']:.2%} of rows."
    return [
        f"It is served as a graph in {found['format']}: {student['bytes'] / 1e6:.1f} megabytes where PyTorch has "
        f"{plain['bytes'] / 1e6:.1f}, {display_name(metric)} {figure.shown(student[metric])} where PyTorch has "
        f"{figure.shown(plain[metric])}.{alike}"
    ]


def _sure(task: dict[str, Any]) -> list[str]:
    """Say how honest the student's probabilities are, and how often it abstains."""
    sentences = []
    if found := task.get("calibration"):
        before, after = (100 * found["calibration_error"][name] for name in ("before", "after"))
        sentences.append(
            f"Its probabilities are {after:.1f} points off on average, with logits divided by "
            f"{found['temperature']:g} as dev has it, {before:.1f} without (expected calibration error)."
        )
    if found := task.get("abstention"):
        answered, abstained = found["accuracy_of_answered"], found["accuracy_of_abstained"]
        right = "" if answered is None else f", {answered:.1%} of them rightly"
        others = "" if abstained is None else f"; of the others it would have {abstained:.1%} right"
        sentences.append(f"With its thresholds it answers {found['coverage']:.1%} of rows{right}{others}.")
    return sentences


def _made_worse(counterfactuals: dict[str, Any]) -> list[str]:
    """Say of which people's texts the student is shown to change its mind more often than its teacher."""
    shown = FIGURES["flip_rate"].shown
    return [
        f"Distillation made it worse: with people told apart by {group} exchanged, the student changes its label of "
        f"{shown(found['student']['flip_rate'])} of {found['texts']:,} {name}, the teacher of "
        f"{shown(found['teacher']['flip_rate'])}."
        for group, kinds in counterfactuals.items()
        for kind, name in KINDS.items()
        if (found := kinds.get(kind)) and found["student_minus_teacher"]["interval"][1] < 0
    ]


def _changed(before: dict[str, Any] | None) -> list[str]:
    """Say of which people's texts the student is shown to change its mind less or more often than the champion did."""
    if not before or "reason" in before:
        return []
    texts = [("people exchanged", "test rows and templates", before["all"])]
    for group, kinds in before["groups"].items():
        said = f"people told apart by {group} exchanged"
        texts += [(said, name, kinds[kind]) for kind, name in KINDS.items() if kind in kinds]
    return [
        f"Against the champion before it: with {people}, the student changes its label of "
        f"{against_champion(before['version'], found, name)}."
        for people, name, found in texts
        if not (bounds := found["after_minus_before"]["flip_rate"]["interval"])[0] <= 0 <= bounds[1]
    ]


def against_champion(version: int, found: dict[str, Any], name: str) -> str:
    """Return the share of some texts, of which `name` says what they are, that get another label, now and before."""
    figure, compared = FIGURES["flip_rate"], found["after_minus_before"]["flip_rate"]
    sign, said = (1, "better") if compared["difference"] >= 0 else (-1, "worse")
    bounds = sorted(sign * bound for bound in compared["interval"])
    return (
        f"{figure.shown(found['after']['flip_rate'])} of {found['texts']:,} {name}, version {version} of "
        f"{figure.shown(found['before']['flip_rate'])}: {figure.change(abs(compared['difference']), '')} {said} "
        f"({figure.change_interval(bounds, '')})"
    )


def best_first(metric: str, scores: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return the models and their scores in the figure `metric`, the best model first."""
    return sorted(scores.items(), key=lambda item: -FIGURES[metric].sign * item[1])


def display_name(name: str) -> str:
    """Return the name of a model or of a figure in words."""
    return NAMES.get(name, name.replace("_", " "))


def closing_table(summary: dict[str, Any]) -> "RenderableType":
    """Return the table that ends `stillhouse run`, to be printed by rich: one a task, and where to look."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for name, task in summary["tasks"].items():
        parts += [_task_table(name, task), *(Text(sentence) for sentence in conclusions(task))]
        registered = task["registered"]
        aliases = " ".join(f"@{alias}" for alias in registered["aliases"]) or "no alias"
        version = f"{registered['name']} version {registered['version']}, {aliases}"
        parts += [Text(f"Registered: {version}: {registered['decision']}."), Text()]
    if not parts:
        parts.append(Text("Nothing is registered yet."))
    return Group(*parts, Text("Look at reports/index.html, or type `make ui` for MLflow and Prefect."))


def _task_table(name: str, task: dict[str, Any]) -> "RenderableType":
    from rich import box
    from rich.table import Table

    table = Table(title=f"{name}: {task['rows']:,} test rows", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("model")
    for heading in (display_name(task["metric"]), "parameters", "megabytes", "rows/s", "ms/row"):
        table.add_column(heading, justify="right")
    shown = FIGURES[task["metric"]].shown
    for model in ("teacher", "student"):
        figures = task[model]
        table.add_row(
            model,
            shown(figures[task["metric"]]),
            f"{figures['parameters'] / 1e6:.1f} M",
            f"{figures['bytes'] / 1e6:.1f}",
            f"{figures['rows_per_second']:,.0f}",
            f"{figures['latency_milliseconds']:.2f}",
            style="bold" if model == "student" else None,
        )
    table.add_section()
    for model, score in best_first(task["metric"], task["baselines"]):
        table.add_row(display_name(model), shown(score))
    return table
