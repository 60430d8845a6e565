"""The model card: Hugging Face's format with a model-index, every number read from the evaluation."""

import html
import re
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from pipeline.evaluation.figures import FIGURES
from pipeline.evaluation.report import KINDS, against_champion, best_first, display_name
from pipeline.params.task_types import TYPE_OF_METRIC

NAMES = {  # what the hub calls a figure
    "accuracy": "accuracy",
    "macro_f1": "f1",
    "micro_f1": "f1",
    "macro_label_f1": "f1",
    "subset_accuracy": "accuracy",
    "span_f1": "f1",
    "token_f1": "f1",
    "exact_match": "exact_match",
    "spearman": "spearmanr",
    "bits_per_character": "bits_per_character",
    "perplexity": "perplexity",
    "bleu": "bleu",
    "chrf": "chrf",
    **dict.fromkeys(("rouge_1", "rouge_2", "rouge_l"), "rouge"),
}


def model_card(
    task: str,
    evaluation: dict[str, Any],
    before: dict[str, Any] | None = None,
    *,
    dataset: str,
    hashes: dict[str, str],
    code: str,
) -> str:
    """Return the card of a student as Markdown.

    `evaluation` is reports/TASK/evaluation.json, `before` what registered.json says of the champion before it, `hashes`
    the lineage by name, `code` the git revision.
    """
    student, teacher = evaluation["student"], evaluation["teacher"]
    metric, comparison = evaluation["metric"], evaluation["comparison"]
    low, high = student["interval"]
    shown, baselines = FIGURES[metric].shown, evaluation["baselines"]
    interval = f"({shown(low)} to {shown(high)})"
    rows = "\n".join(
        f"| {display_name(name)} | {shown(score)} |"
        for name, score in best_first(metric, {name: figures[metric] for name, figures in baselines.items()})
    )
    labels = f" Labels: {', '.join(map(_as_it_is, evaluation['labels']))}." if evaluation["labels"] else ""
    error = student.get("calibration_error")
    calibration = "" if error is None else f" Its expected calibration error is {error:.3f}."
    if found := evaluation.get("calibration"):
        calibration = (
            f" Its expected calibration error is\n{error:.3f}, with its logits divided by {found['temperature']:g} "
            f"(`export.json`), and {found['before']['calibration_error']:.3f} without."
        )
    agreement = comparison["agreement"]
    agrees = "" if agreement is None else f" and agrees with it on\n{agreement:.1%} of the rows"
    lineage = "\n".join(f"- {name.replace('_', ' ')}: `{value}`" for name, value in sorted(hashes.items()))
    return f"""---
{_front_matter(task, dataset, evaluation)}---

# {task}

A small student for `{task}`, distilled from a larger teacher.{labels}

## How good it is

On {evaluation["rows"]:,} test rows of {dataset} that no choice was made on:

| model | {display_name(metric)} |
|---|---|
| teacher ({teacher["parameters"] / 1e6:.1f} M parameters) | {shown(teacher[metric])} |
| **student** ({student["parameters"] / 1e6:.1f} M parameters) | **{shown(student[metric])}** {interval} |
{rows}

The student keeps {comparison["relative_score"]:.1%} of the teacher's {display_name(metric)}{agrees}.{calibration}

{_withheld(evaluation)}{_served(evaluation)}## What it is not for

It was trained on one kind of text and answers for any text: outside that kind its score is no probability.

## Whether it matters who a text speaks of

{_about_people(evaluation.get("counterfactuals", {}), before)}

## Where it comes from

{lineage}
- code: `{code}`
"""


def without_front_matter(card: str) -> str:
    """Return a card as MLflow shows it well, which takes the YAML at the head for text."""
    return card.split("---\n", 2)[2].lstrip()


def _withheld(evaluation: dict[str, Any]) -> str:
    """Say how often the student gives no label."""
    found = evaluation.get("abstention")
    if not found:
        return ""
    limits = ", ".join(f"{_as_it_is(label)} {limit:g}" for label, limit in found["thresholds"].items())
    right = "" if found["accuracy_of_answered"] is None else f", {found['accuracy_of_answered']:.1%} of them rightly"
    answers = f"it answers {found['coverage']:.1%} of the rows{right}"
    return f"It gives a label only above a probability ({limits}): {answers}.\n\n"


def _served(evaluation: dict[str, Any]) -> str:
    """Say what the file `model.onnx` is, and what it changes."""
    found, student, metric = evaluation.get("exported"), evaluation["student"], evaluation["metric"]
    if not found:
        return ""
    shown, plain = FIGURES[metric].shown, found["student_in_pytorch"]
    alike = "" if found["agreement"] is None else f" Both answer alike on {found['agreement']:.2%} of the rows."
    return (
        f"All figures are those of `model.onnx`, the same weights as a graph that computes in {found['format']}: "
        f"{student['bytes'] / 1e6:.1f} MB with\nthe tokenizer. `model.safetensors` beside it, for PyTorch, "
        f"has {shown(plain[metric])} and {plain['bytes'] / 1e6:.1f} MB.{alike}\n\n"
    )


def _about_people(counterfactuals: dict[str, Any], before: dict[str, Any] | None) -> str:
    if not counterfactuals:
        return "This was not measured."
    shown = FIGURES["flip_rate"].shown
    lines = [
        f"| {group} | {found['texts']:,} {name} | {shown(found['teacher']['flip_rate'])} "
        f"| {shown(found['student']['flip_rate'])} |"
        for group, kinds in counterfactuals.items()
        for kind, name in KINDS.items()
        if (found := kinds.get(kind))
    ]
    table = "\n".join(["| people told apart by | texts | teacher | student |", "|---|---|---|---|", *lines])
    return (
        f"The share of texts that get another label when the people in them are exchanged for others:\n\n{table}\n\n"
        f"{_against_champion(before)}"
        "A low share is no proof of fairness: only some English words were exchanged, and only in such texts."
    )


def _against_champion(before: dict[str, Any] | None) -> str:
    """Say what the champion before this student makes of all these texts together."""
    if not before or "reason" in before:
        return ""
    said = against_champion(before["version"], before["all"], "texts, rows and templates together")
    return f"Beside the champion before it: this student changes its label of {said}.\n\n"


def _as_it_is(text: str) -> str:
    """Return Markdown that shows `text` and does nothing else: no element, link, table or line of its own."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _front_matter(task: str, dataset: str, evaluation: dict[str, Any]) -> str:
    student, task_type = evaluation["student"], TYPE_OF_METRIC[evaluation["metric"]].replace("_", "-")
    metrics = [
        {"type": kind, "name": display_name(figure), "value": student[figure]}
        for figure, kind in NAMES.items()
        if figure in student
    ]
    result = {
        "task": {"type": task_type},
        "dataset": {"name": dataset, "type": dataset, "split": "test"},
        "metrics": metrics,
    }
    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(
        {
            "library_name": "transformers",
            "pipeline_tag": task_type,
            "tags": ["distillation", "stillhouse"],
            "model-index": [{"name": task, "results": [result]}],
        },
        text,
    )
    return text.getvalue()
