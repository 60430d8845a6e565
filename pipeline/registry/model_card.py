"""The model card: Hugging Face's format with a model-index, every number read from the evaluation."""

import html
import re
from io import StringIO
from typing import Any

from ruamel.yaml import YAML


def model_card(task: str, evaluation: dict[str, Any], *, dataset: str, hashes: dict[str, str], code: str) -> str:
    """Return the card of a student as Markdown.

    `evaluation` is reports/TASK/evaluation.json, `hashes` the lineage by name, `code` the git revision.
    """
    student, teacher = evaluation["student"], evaluation["teacher"]
    comparison = evaluation["comparison"]
    low, high = student["interval"]
    interval = f"({low:.1%} to {high:.1%})"
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {figures['accuracy']:.1%} |"
        for name, figures in sorted(evaluation["baselines"].items(), key=lambda item: -item[1]["accuracy"])
    )
    labels = ", ".join(map(_as_it_is, evaluation["labels"]))
    lineage = "\n".join(f"- {name.replace('_', ' ')}: `{value}`" for name, value in sorted(hashes.items()))
    return f"""---
{_front_matter(task, dataset, evaluation)}---

# {task}

A small student for `{task}`, distilled from a larger teacher. Labels: {labels}.

## How good it is

On {evaluation["rows"]:,} test rows of {dataset} that no choice was made on:

| model | accuracy |
|---|---|
| teacher ({teacher["parameters"] / 1e6:.1f} M parameters) | {teacher["accuracy"]:.1%} |
| **student** ({student["parameters"] / 1e6:.1f} M parameters) | **{student["accuracy"]:.1%}** {interval} |
{rows}

The student keeps {comparison["relative_accuracy"]:.1%} of the teacher's accuracy and agrees with it on
{comparison["agreement"]:.1%} of the rows. Its expected calibration error is {student["calibration_error"]:.3f}.

## What it is not for

It was trained on one kind of text and answers for any text: outside that kind its score is no probability. It has not
been measured for fairness across groups of people unless the evaluation says so.

## Where it comes from

{lineage}
- code: `{code}`
"""


def _as_it_is(text: str) -> str:
    """Return Markdown that shows `text` and does nothing else: no element, link, table or line of its own."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _front_matter(task: str, dataset: str, evaluation: dict[str, Any]) -> str:
    student = evaluation["student"]
    metrics = [
        {"type": "accuracy", "value": student["accuracy"]},
        {"type": "f1", "name": "macro F1", "value": student["macro_f1"]},
    ]
    result = {
        "task": {"type": "text-classification"},
        "dataset": {"name": dataset, "type": dataset, "split": "test"},
        "metrics": metrics,
    }
    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(
        {
            "library_name": "transformers",
            "pipeline_tag": "text-classification",
            "tags": ["distillation", "stillhouse"],
            "model-index": [{"name": task, "results": [result]}],
        },
        text,
    )
    return text.getvalue()
