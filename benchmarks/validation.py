"""Seconds of checking a dataset, and the memory it takes: the stage `validate` against one pass of pandas.

    python benchmarks/validation.py [--size 1000] [--pairs 5] [--pair-size 40] [--threads 2]

Rows are two pieces of 100 characters of the package's reviews, drawn from a fixed seed, with a label; 10^6 bytes are
some 5,000 of them. Beside the training rows stand 2,000 each of dev and test. The reference reads the same Parquet
with pandas and checks, a column at a time: ids unique, texts given, their length, signs of encoding damage, markup,
the share of letters, labels given, known and balanced, and that no training text has the letters of one in dev or
test; the failing rows are counted. Ours are the same checks as the stage does them, by Great Expectations. `ratio` is
our time over theirs; they run in turn, in one process, on `--pair-size` megabytes of text, and both have to find the
same rows. `stage_ratio` is that of the whole stage, which beyond the reference compares all rows with dev and test
for near-duplicates and containment, estimates label noise and drift, and writes splits, quarantine, summary and page.
Then the stage runs in a process of its own on a tenth of `--size` and on all of it, and the most memory that each
held is compared: `growth` is in megabytes. The last line is one JSON object.
"""

import argparse
import functools
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from reviews import ROOT, peak_megabytes, reviews, timed

from pipeline.schema import CANONICAL, SPLITS
from pipeline.validation.measures import DAMAGE, MARKUP

GOALS = {"ratio": 2.0, "growth": 100}
MEGABYTE, PIECE, HELD_OUT, BATCH = 10**6, 100, 2_000, 2048
DATASET, LABELS = "rotten_tomatoes", ["negative", "positive"]
BOUNDS = {"max_quarantined_share": 1.0, "min_characters": 3, "max_characters": 2000}


def write_rows(megabytes: float, folder: Path) -> int:
    """Write train.parquet of `megabytes`, and dev and test, into `folder`; return the training rows."""
    texts, _ = reviews("imdb")
    chance = np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows = dict.fromkeys(SPLITS, 0)
    for split in SPLITS:
        written = 0
        with pq.ParquetWriter(folder / f"{split}.parquet", CANONICAL, compression="zstd") as writer:
            while written < megabytes * MEGABYTE if split == "train" else rows[split] < HELD_OUT:
                which, where = chance.integers(len(texts), size=(2, BATCH)), chance.integers(200, size=BATCH)
                made = [
                    texts[one][place : place + PIECE] + " " + texts[other][place : place + PIECE]
                    for one, other, place in zip(*which, where, strict=True)
                ]
                ids = [
                    hashlib.blake2b(f"{split}{rows[split] + i}".encode(), digest_size=8).hexdigest()
                    for i in range(BATCH)
                ]
                labels = [LABELS[i % 2] for i in range(BATCH)]
                given = {"id": ids, "text": made, "label": labels, "source": ["mixed"] * BATCH}
                columns = [pa.array(given.get(field.name, [None] * BATCH), field.type) for field in CANONICAL]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=CANONICAL))
                rows[split] += BATCH
                written += sum(len(text.encode()) for text in made)
    return rows["train"]


def stage(rows: Path, out: Path) -> dict[str, int]:
    """Run the stage with the default job's checks; return how many rows each found failing."""
    from pipeline.files import read_json
    from pipeline.params import load_params
    from pipeline.stages import validate

    params = load_params(ROOT / "params.yaml")
    section = params.datasets[DATASET]
    checks = section.validation.model_copy(update=BOUNDS)
    changed = {**params.datasets, DATASET: section.model_copy(update={"validation": checks})}
    out.mkdir(parents=True, exist_ok=True)
    (out / "held_out.jsonl").write_text("")
    validate.run(
        params.model_copy(update={"datasets": changed}),
        dataset=DATASET,
        rows=rows,
        held_out=out / "held_out.jsonl",
        out=out / "validated",
        quarantine=out / "quarantined.parquet",
        summary=out / "summary.json",
        page=out / "page.html",
    )
    found = read_json(out / "summary.json")["checks"]
    return {name: int(check["failing"]) for name, check in found.items() if name in CHECKED}


CHECKED = ("non_empty", "length", "encoding", "markup", "letters", "overlap", "label_set")


def same_checks(rows: Path) -> dict[str, int]:
    """Do what `with_pandas` does as the stage does it; return how many rows fail each check."""
    from pipeline.params import load_params
    from pipeline.validation.checkpoint import merged, run_suite
    from pipeline.validation.measures import class_shares, kept_for_measuring, measure_part
    from pipeline.validation.parts import Kept
    from pipeline.validation.reading import count_rows, joined, read_parts

    checks = load_params(ROOT / "params.yaml").datasets[DATASET].validation
    bounds = checks.model_dump() | BOUNDS | {"labels": LABELS}
    letters = kept_for_measuring(rows, Path(os.devnull))
    kept, outcomes, named = Kept(count_rows(rows)), [], ["split", "id"]

    def parts() -> Iterator[pd.DataFrame]:
        for part, texts in (measure_part(letters, read) for read in read_parts(rows)):
            kept.add(part, texts)
            yield part.assign(near_duplicate=False)

    for part in joined(parts()):
        outcomes.append([one for suite in ("rows", "labels") for one in run_suite(suite, part, bounds, named_by=named)])
    run_suite("ids", kept.repeated_ids(rows), bounds, named_by=named)
    run_suite("classes", class_shares(kept.table(), LABELS), bounds, named_by=["label"])
    return {outcome.check: len(outcome.failures) for outcome in merged(outcomes) if outcome.check in CHECKED}


def with_pandas(rows: Path) -> dict[str, int]:
    """Check the rows column by column, as one would in a notebook; return how many rows fail each check."""
    splits = {split: pd.read_parquet(rows / f"{split}.parquet", columns=["id", "text", "label"]) for split in SPLITS}
    table = pd.concat(splits.values(), keys=splits.keys(), names=["split", None]).reset_index("split")
    if not table["id"].is_unique or table["label"].isna().any():
        raise SystemExit("ids are repeated or labels are missing")
    text = table["text"].fillna("").str.strip()
    letters, visible = without(text.str.lower(), r"\P{L}+"), without(text, r"[\s\p{Z}\p{M}]+").str.len()
    characters, given = text.str.len(), visible > 0
    damage, markup = (count(text, pattern) for pattern in (DAMAGE, MARKUP))
    train, dev, test = (table["split"] == split for split in SPLITS)
    later = {"train": letters[dev | test], "dev": letters[test]}
    shares = table["label"].value_counts(normalize=True)
    if (shares.reindex(LABELS) < 0.2).any():
        raise SystemExit("labels are out of balance")
    overlap = (train & letters.isin(set(later["train"]))) | (dev & letters.isin(set(later["dev"])))
    return {
        "non_empty": int((~given).sum()),
        "length": int((given & ~characters.between(BOUNDS["min_characters"], BOUNDS["max_characters"])).sum()),
        "encoding": int((given & (damage / characters > 0.01)).sum()),
        "markup": int((given & (markup > 0)).sum()),
        "letters": int((given & (letters.str.len() / visible < 0.5)).sum()),
        "overlap": int((overlap & (letters != "")).sum()),
        "label_set": int((~table["label"].isin(LABELS)).sum()),
    }


def without(text: "pd.Series[str]", pattern: str) -> "pd.Series[str]":
    """Return each text without what a pattern of RE2's matches: Arrow's kernel, the fastest that pandas can call."""
    replaced = pc.replace_substring_regex(pa.array(text, pa.string()), pattern, "")
    return pd.Series(replaced.to_pandas().to_numpy(), index=text.index, dtype="str")


def count(text: "pd.Series[str]", pattern: str) -> "pd.Series[int]":
    """Return how often a pattern of RE2's stands in each text."""
    return pd.Series(pc.count_substring_regex(pa.array(text, pa.string()), pattern).to_numpy(), index=text.index)


def alone(rows: Path, out: Path) -> dict[str, float]:
    """Run the stage in a process of its own; return its seconds and the most memory that it held, in megabytes."""
    begun = time.perf_counter()
    command = [sys.executable, __file__, "--alone", str(rows), str(out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    peak: float = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": round(time.perf_counter() - begun, 1), "peak_megabytes": peak}


def pair(rows: Path, out: Path, *, first: bool) -> dict[str, Any]:
    """Time both on one dataset; `first`: whether ours begins."""
    took, found = {}, {}
    runs: dict[str, Callable[[], dict[str, int]]] = {
        "ours": functools.partial(same_checks, rows),
        "reference": functools.partial(with_pandas, rows),
        "stage": functools.partial(stage, rows, out),
    }
    for name in [*runs] if first else [*runs][::-1]:
        took[name] = timed(lambda: found.update({name: runs[name]()}))  # noqa: B023 it runs at once
    return {
        "reference": round(took["reference"].wall, 2),
        "ours": round(took["ours"].wall, 2),
        "stage": round(took["stage"].wall, 2),
        "ratio": round(took["ours"].wall / took["reference"].wall, 2),
        "stage_ratio": round(took["stage"].wall / took["reference"].wall, 2),
        "processor_ratio": round(took["ours"].processor / took["reference"].processor, 2),
        "processor_stage_ratio": round(took["stage"].processor / took["reference"].processor, 2),
        "found": found,
        "equal": found["ours"] == found["reference"] == found["stage"],
    }


def main() -> None:
    """Run the pairs, then the stage alone on both sizes, and print a line for each and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=1000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--pair-size", type=float, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    pa.set_cpu_count(options.threads)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    if options.alone:
        stage(*options.alone)
        print(json.dumps(peak_megabytes()))
        return
    pairs, sizes = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_rows(options.pair_size, folder / "pair")
        stage_warm = write_rows(0.1, folder / "warm")
        print(f"warmed up on {stage_warm} rows: {pair(folder / 'warm', folder / 'out', first=True)}", flush=True)
        for number in range(options.pairs):
            pairs.append(pair(folder / "pair", folder / "out", first=number % 2 == 0))
            print(f"pair {number + 1}: {pairs[-1]}", flush=True)
        for size in (options.size / 10, options.size):
            count = write_rows(size, folder / f"{size}")
            found: dict[str, Any] = {"megabytes": size, "rows": count}
            sizes.append(found | alone(folder / f"{size}", folder / "out"))
            print(sizes[-1], flush=True)
    result = {
        "pairs": pairs,
        "median_ratio": statistics.median(one["ratio"] for one in pairs),
        **{
            f"median_{name}": statistics.median(one[name] for one in pairs)
            for name in ("processor_ratio", "stage_ratio", "processor_stage_ratio")
        },
        "equal": all(one["equal"] for one in pairs),
        "sizes": sizes,
        "peak_megabytes": sizes[1]["peak_megabytes"],
        "growth": round(sizes[1]["peak_megabytes"] - sizes[0]["peak_megabytes"], 1),
        "goals": GOALS,
        "threads": options.threads,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
