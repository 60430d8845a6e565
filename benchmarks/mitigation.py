"""Flip rates and accuracy of runs with mitigation of bias beside runs without, with intervals over texts and seeds.

    python benchmarks/mitigation.py --without FOLDER … --with FOLDER … [--task T] [--samples 10000]

Each FOLDER is a project after `make run` of a task that labels texts. The n-th run with mitigation has the seed of the
n-th without and differs from it in `tasks.T.mitigation` alone. Teacher and student, as it is served, are asked about
the test rows and templates of `evaluate.identity_groups` with the people exchanged, as the stage `evaluate` asks them.
An interval of 95 % is of a bootstrap that draws seeds and texts with replacement, the same for all models. The last
line is one JSON object.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from seeds import hits, over_rows_and_seeds, told

from pipeline.architectures.exported import is_exported
from pipeline.evaluation.contenders import ask_networks
from pipeline.evaluation.fairness import Counterfactual, counterfactuals
from pipeline.evaluation.table import read_labelled_texts
from pipeline.params import load_params, read_yaml
from pipeline.tasks import TASKS
from pipeline.tokenization.encoding import encode_rows
from pipeline.tokenization.folder import load_tokenizer

MODELS = ("teacher", "student")


def paired_seeds(without: list[Path], mitigated: list[Path], task: str) -> list[int]:
    """Return the seeds; end where the n-th runs of both differ in more than the mitigation of `task`."""
    seeds = []
    for plain, changed in zip(without, mitigated, strict=True):
        values = [read_yaml(folder / "params.yaml") for folder in (plain, changed)]
        settings = [one["tasks"][task].pop("mitigation", None) for one in values]
        if values[0] != values[1] or settings[0] == settings[1]:
            raise SystemExit(f"{changed}/params.yaml: expected {plain}/params.yaml with another mitigation of {task}")
        seeds.append(values[0]["runtime"]["seed"])
    return seeds


def flips(folder: Path, task: str) -> tuple[list[Counterfactual], np.ndarray]:
    """Return the texts that a run's models are asked about and which of them get another label, (models, texts)."""
    section = load_params(folder / "params.yaml").tasks[task]
    head = TASKS[section.type]().from_params(section)
    teacher, student, exported = (folder / "models" / task / name for name in (*MODELS, "exported"))
    test = read_labelled_texts(folder / f"data/validated/{section.dataset}/test.parquet", section.type, section.labels)
    asked = counterfactuals(section.evaluate.identity_groups, test.texts)
    both = [one.text for one in asked] + [one.swapped for one in asked]
    served = exported if is_exported(exported) else student
    networks = {
        name: (at, encode_rows(load_tokenizer(at)[0], both, np.zeros(len(both), np.int64), section.max_length))
        for name, at in zip(MODELS, (teacher, served), strict=True)
    }
    said = ask_networks(head, networks, both)
    chosen = np.array([said[name].logits.argmax(axis=1) for name in MODELS])
    return asked, chosen[:, : len(asked)] != chosen[:, len(asked) :]


def before_and_after(before: np.ndarray, after: np.ndarray, samples: int) -> dict[str, Any]:
    """Return for each model the mean of two (runs, models, rows), and by how much the second is higher."""
    drawn = over_rows_and_seeds(np.concatenate([before, after], axis=1), samples)
    each = [values.mean(axis=2) for values in (before, after)]
    found = {}
    for place, name in enumerate(MODELS):
        ends = drawn[:, place], drawn[:, len(MODELS) + place]
        found[name] = {
            "without": told(each[0][:, place], ends[0]),
            "with": told(each[1][:, place], ends[1]),
            "difference": told(each[1][:, place] - each[0][:, place], ends[1] - ends[0]),
        }
    return found


def main() -> None:
    """Ask the models of all runs and print the figures, the closing JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without", nargs="+", type=Path, required=True)
    parser.add_argument("--with", nargs="+", type=Path, required=True, dest="mitigated")
    parser.add_argument("--task")
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    task = options.task or next(iter(read_yaml(options.without[0] / "params.yaml")["tasks"]))
    result: dict[str, Any] = {"task": task, "seeds": paired_seeds(options.without, options.mitigated, task)}
    sides = [[flips(folder, task) for folder in folders] for folders in (options.without, options.mitigated)]
    asked = sides[0][0][0]
    before, after = (np.array([flipped for _, flipped in side], dtype=np.float64) for side in sides)
    kinds = {kind: [one.kind == kind for one in asked] for kind in ("rows", "templates")}
    groups = {group: [one.group == group for one in asked] for group in dict.fromkeys(one.group for one in asked)}
    for name, members in {"all": [True] * len(asked), **kinds, **groups}.items():
        mask = np.array(members)
        compared = before_and_after(before[:, :, mask], after[:, :, mask], options.samples)
        result[name] = {"texts": int(mask.sum())} | compared
        print(f"flip rate, {name}: {result[name]}")
    found = [[hits(folder, task) for folder in folders] for folders in (options.without, options.mitigated)]
    right = [np.array([[run[name] for name in MODELS] for run in runs], dtype=np.float64) for runs in found]
    result["accuracy"] = before_and_after(*right, options.samples)
    print(f"accuracy: {result['accuracy']}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
