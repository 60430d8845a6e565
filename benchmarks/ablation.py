"""Which losses make the best student of a task? Each alone and in mixtures, some seeds, one budget, read on dev.

    python benchmarks/ablation.py [--processes N] [--minutes M] [--rows N] [--fit] [--only NAME …]
    python benchmarks/ablation.py --table

Needs what `make run` leaves in data and models, or the folder that ablation_inputs.py packs. The mixtures stand in
ablation_mixtures.py; students are trained by the pipeline's own code on one thread each, and the teacher is run once
for all of them. A finished student is a line of --out, so a rerun goes on with those that are missing, and --table
makes the table from the lines. --rows shrinks the transfer set; with --fit it is cut so that everything ends within
--minutes, by the speed of a first short training of all processes at once. A card takes many processes side by side, as
small models leave it waiting. Layers' states take 6 kB of --cache a token: 14 GB for 100,000 sentences.
"""

import argparse
import json
import math
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from ablation_mixtures import MIXTURES, Mixture
from ablation_students import Options, Record, changed, learn, read_rows, teacher_line
from ablation_table import table

PROBES = (1_280, 1_280, 5_120)  # rows of the trainings that are timed, of which the first warms up
FITTED = 0.85  # share of the time that is planned: some goes to the teacher and to the last ones' end
DEARER = 1.5  # times a step of the first mixture is one of all in the middle, those of layers included


def timed(options: Options) -> tuple[float, float]:
    """Return the seconds of a step of the first mixture, and those of a training without its steps."""
    _, short, long = (learn(MIXTURES[0], 0, replace(options, rows=rows, epochs=2)) for rows in PROBES)
    step = (long["seconds"] - short["seconds"]) / (long["steps"] - short["steps"])
    return step, short["seconds"] - step * short["steps"]


def fitted_rows(options: Options, runs: int, processes: int, pool: ProcessPoolExecutor, deadline: float) -> int:
    """Return how many rows of the transfer set, in thousands, let `runs` students end before `deadline`."""
    found = [future.result() for future in [pool.submit(timed, options) for _ in range(processes)]]
    step, beside = (sum(column) / processes for column in zip(*found, strict=True))
    each = FITTED * processes * (deadline - time.monotonic()) / runs
    training = changed(MIXTURES[0], MIXTURES[0].losses, 0, options).tasks[options.task].distill.training
    taught = (each - beside) / (DEARER * step) * training.batch_size / options.epochs
    left = int(taught - len(read_rows(options, "teacher")["train"])) // 1000 * 1000
    rows = min(options.rows, max(PROBES[-1], left))
    print(f"{1000 * step:.1f} ms a step, {beside:.1f} s beside, {processes} at once: {rows:,} rows", flush=True)
    return rows


def planned(done: Sequence[Record], seeds: Sequence[int], only: Sequence[str]) -> list[tuple[Mixture, int]]:
    """Return what is left to do: one that needs layers, whose states take long, answers, then layers, seed by seed."""
    finished = {(line["mixture"], line["seed"]) for line in done if "mixture" in line}
    chosen = [mixture for mixture in MIXTURES if not only or mixture.name in only]
    left = [(mixture, seed) for seed in seeds for mixture in chosen if (mixture.name, seed) not in finished]
    left.sort(key=lambda item: item[0].of_layers)
    first = next((index for index, (mixture, _) in enumerate(left) if mixture.of_layers), 0)
    return left[first : first + 1] + left[:first] + left[first + 1 :]


def lines_of(out: Path) -> list[Record]:
    """Return the lines of a file of results, none where there is no file; one that a kill cut off does not count."""
    found = []
    for line in out.read_text(encoding="utf-8").splitlines() if out.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            print(f"{out}: a line that is cut off, left out", flush=True)
    return found


def run_all(options: Options, arguments: argparse.Namespace) -> int:
    """Train what is missing and write its lines as they come; return how many failed."""
    deadline = time.monotonic() + 60 * (arguments.minutes or math.inf)
    done = lines_of(arguments.out)
    if done:
        options = replace(options, **{key: done[0][key] for key in ("rows", "epochs")})
        arguments.out.write_text("".join(json.dumps(line) + "\n" for line in done), encoding="utf-8")
    waiting, processes = deque(planned(done, arguments.seeds, arguments.only)), arguments.processes
    failed, longest = 0, 0.0
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    context = get_context("spawn")  # a card cannot be used after a fork
    with ProcessPoolExecutor(processes, context) as pool, arguments.out.open("a", encoding="utf-8") as file:

        def write(line: Record) -> None:
            file.write(json.dumps(line) + "\n")
            file.flush()

        running: dict[Future[Record], str] = {}
        if arguments.fit and not done:
            options = replace(options, rows=fitted_rows(options, len(waiting), processes, pool, deadline))
        if not any("teacher" in line for line in done):
            running[pool.submit(teacher_line, options)] = "teacher"
        while waiting or running:
            while waiting and len(running) < processes and time.monotonic() + longest < deadline:
                mixture, seed = waiting.popleft()
                running[pool.submit(learn, mixture, seed, options)] = f"{mixture.name}, seed {seed}"
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                if error := future.exception():
                    failed += 1
                    print(f"{name}: {type(error).__name__}: {error}", flush=True)
                else:
                    write(future.result())
                    seconds = future.result().get("seconds", 0.0)
                    longest = max(longest, seconds)
                    print(f"{name}: {seconds} s, {len(waiting)} to begin", flush=True)
    return failed + len(waiting)


def main() -> None:
    """Run, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sentiment")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=2, help="even: half of them are a first phase's")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--only", nargs="*", default=[], choices=[mixture.name for mixture in MIXTURES])
    parser.add_argument("--out", type=Path, default=Path(".stillhouse/ablation/runs.jsonl"))
    parser.add_argument("--cache", type=Path, default=Path(".stillhouse/ablation/teacher_cache"))
    parser.add_argument("--table", action="store_true", help="print the table of --out as Markdown, train nothing")
    arguments = parser.parse_args()
    if arguments.epochs % 2:
        parser.error(f"--epochs: must be even, got {arguments.epochs}")
    if arguments.table:
        done = lines_of(arguments.out)
        if not all(any(key in line for line in done) for key in ("teacher", "mixture")):
            sys.exit(f"{arguments.out}: no finished student beside its teacher, expected some")
        print(table(done))
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each process
    options = Options(arguments.task, arguments.rows, arguments.epochs, arguments.cache)
    left = run_all(options, arguments)
    if left:
        print(f"{left} left to do; the same command goes on", flush=True)
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
