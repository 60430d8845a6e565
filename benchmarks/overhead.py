"""What the pipeline costs by itself: `stillhouse run` against one bare process that makes the same training calls.

    python benchmarks/overhead.py [--pairs 5] [--timings .stillhouse/timings.json]

Run in a project. Both begin in fresh copies of it, at the scale of `stillhouse quick`, in turn. Bare is one process
that calls ingest, tokenization, training, distillation and evaluation after one another, with DVC, MLflow, validation
and registration left out; `own_seconds` are how much longer `stillhouse run` takes up to `evaluate`, so they are
those of starting processes, importing, hashing, caching, tracking and validating. To them comes what `register`
takes, and both are compared with the length of the default job, of which `--timings` has the seconds of each stage of
a finished run; where that file is missing, the timings that are shipped stand in, and `timings` says so. At the
default scale validation has more rows to read and DVC some 400 MB more to hash: for validation the difference is
taken from the timings, hashing is left out. Then, in a copy where all is done: `dvc repro` and the flow, when nothing
has changed. The last line is one JSON object.
"""

import argparse
import contextlib
import importlib
import json
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ruamel.yaml import YAML

from pipeline.cli.quick import CODE
from pipeline.drivers import SHIPPED_TIMINGS, TIMINGS
from pipeline.files import read_json
from pipeline.params import load_params, read_yaml
from pipeline.project_copy import copy_files, files_in, known_files
from pipeline.smoke import at_smoke_scale

GOALS = {"share": 0.10, "no_op_dvc_seconds": 3.0, "no_op_flow_seconds": 15.0}
LEFT_OUT = ("validate", "register")  # of the bare process


def fresh_copy(folder: Path) -> Path:
    """Copy the project's code to `folder`, a DVC project of its own at smoke scale."""
    params = load_params(Path("params.yaml"))
    names = {dataset.path for dataset in params.datasets.values()} | {params.init_from.path}
    copy_files([*known_files(*CODE), *(file for name in names for file in files_in(Path(name)))], folder)
    with open(folder / "params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(at_smoke_scale(read_yaml(Path("params.yaml"))), file)
    (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    return folder


def processor_seconds() -> float:
    """Return the processor time of all ended children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def seconds_of(command: list[str], folder: Path) -> float:
    """Run a command in a copy and return how long it took; end with its output where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return time.perf_counter() - begun


@contextlib.contextmanager
def untracked(name: str, params: dict[str, Any], folder: Path | None = None) -> Iterator[SimpleNamespace]:
    """Stand where stages begin their MLflow run."""
    yield SimpleNamespace(log=lambda record: None, tags={})


def bare(commands: list[str]) -> None:
    """Make the calls of the stages' commands in this process; what was read in is taken for validated."""
    from pipeline import stage_run

    stage_run.stage_run = untracked  # type: ignore[assignment]
    params = load_params(Path("params.yaml"))
    for command in commands:
        module, *options = shlex.split(command)[3:]
        keys, values = (options[place::2] for place in (0, 1))
        given = {key.removeprefix("--").replace("-", "_"): value for key, value in zip(keys, values, strict=True)}
        arguments = {key: value if key in ("dataset", "task") else Path(value) for key, value in given.items()}
        importlib.import_module(module).run(params, **arguments)
        if module.endswith(".ingest"):
            validated = Path("data/validated") / given["dataset"]
            shutil.copytree(given["out"], validated)
            (validated / "report.json").unlink(missing_ok=True)


def pair(scratch: Path, commands: list[str], *, first: bool) -> tuple[dict[str, float], Path]:
    """Run both in fresh copies; return their seconds and the driver's copy. `first`: whether the driver begins."""
    copies = {name: fresh_copy(scratch / name) for name in ("stillhouse", "bare")}
    tasks = load_params(Path("params.yaml")).tasks
    driver = [sys.executable, "-m", "pipeline.cli", "run", *(f"evaluate@{task}" for task in tasks)]
    took, processor = {}, {}
    for name in ("stillhouse", "bare") if first or not commands else ("bare", "stillhouse"):
        used = processor_seconds()
        if name == "bare":
            commands = commands or commands_of(copies["stillhouse"])
            took[name] = seconds_of([sys.executable, __file__, "--bare", *commands], copies[name])
        else:
            took[name] = seconds_of(driver, copies[name])
        processor[name] = processor_seconds() - used
    seconds = took | {"own_seconds": took["stillhouse"] - took["bare"]}
    seconds["processor_own_seconds"] = processor["stillhouse"] - processor["bare"]
    return {name: round(value, 2) for name, value in seconds.items()}, copies["stillhouse"]


def commands_of(finished: Path) -> list[str]:
    """Return what the stages of a finished copy ran, in order, without those that a bare process leaves out."""
    stages = read_yaml(finished / "dvc.lock")["stages"]
    return [stage["cmd"] for name, stage in stages.items() if name.split("@")[0] not in LEFT_OUT]


def of_kind(timings: dict[str, float], kind: str) -> float:
    """Return the seconds of all stages of one kind."""
    return sum(seconds for stage, seconds in timings.items() if stage.split("@")[0] == kind)


def main() -> None:
    """Run the pairs and the runs with nothing to do, and print a line for each and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--timings", type=Path, default=TIMINGS)
    parser.add_argument("--bare", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TQDM_DISABLE", "1")  # as stages have it
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if options.bare:
        bare(options.bare)
        return
    finished = options.timings.is_file()
    timings: dict[str, float] = read_json(options.timings) if finished else SHIPPED_TIMINGS["run"]
    pairs, commands = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.pairs):
            found, copy = pair(Path(folder) / str(number), commands, first=number % 2 == 0)
            commands = commands or commands_of(copy)
            pairs.append(found)
            print(f"pair {number + 1}: {found}", flush=True)
        # in the last copy: the rest, and everything once more
        register = seconds_of([sys.executable, "-m", "pipeline.cli", "run"], copy)
        done = [*(f"evaluate@{task}" for task in load_params(Path("params.yaml")).tasks)]
        no_op = {
            "dvc": [seconds_of([sys.executable, "-m", "dvc", "repro", *done], copy) for _ in range(5)],
            "flow": [seconds_of([sys.executable, "-m", "flows.train", *done], copy) for _ in range(3)],
        }
        quick = read_json(copy / TIMINGS)
    own = statistics.median(one["own_seconds"] for one in pairs)
    validation = max(0.0, of_kind(timings, "validate") - of_kind(quick, "validate"))
    total, registering = sum(timings.values()), of_kind(timings, "register")
    result = {
        "pairs": pairs,
        "median_own_seconds": own,
        "median_processor_own_seconds": statistics.median(one["processor_own_seconds"] for one in pairs),
        "validation_at_default_scale_more_seconds": round(validation, 1),
        "register_seconds": {"default": round(registering, 1), "here_at_quick_scale": round(register, 1)},
        "default_job_seconds": round(total, 1),
        "timings": str(options.timings) if finished else "shipped, not of this machine",
        "share": round((own + validation + registering) / total, 3),
        "share_without_register": round((own + validation) / total, 3),
        "no_op_seconds": {name: [round(value, 2) for value in values] for name, values in no_op.items()},
        "no_op_dvc_seconds": round(statistics.median(no_op["dvc"]), 2),
        "no_op_flow_seconds": round(statistics.median(no_op["flow"]), 2),
        "goals": GOALS,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
