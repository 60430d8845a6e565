"""MB per second of tokenizing a corpus, and the memory it takes: the stage against `tokenizers` with nothing around it.

    python benchmarks/tokenization.py [--size 1000] [--pairs 5] [--pair-size 10] [--threads 2]

The text is the package's reviews mixed: each document is the first half of one and the second half of another, drawn
from a fixed seed, in the Parquet that `validate` writes. Ours is the whole stage `tokenize_corpus`: read the table,
tokenize, pack into sequences of 128, write memory-mappable arrays. The reference is `tokenizers.encode_batch` on the
same texts, already in memory, a thousand at a time, its results thrown away. Both use `--threads`; they run in turn,
in one process, on `--pair-size` megabytes (10^6 bytes of UTF-8). Then the stage runs in a process of its own on a
tenth of `--size` and on all of it, and the most memory that each held is compared: `growth` is in megabytes. The last
line is one JSON object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from reviews import ROOT, peak_megabytes, reviews, timed

from pipeline.schema import CANONICAL

GOALS = {"ratio": 0.9, "megabytes": 1000, "growth": 50}
MEGABYTE, ROWS, BATCH = 10**6, 2048, 1000


def documents(megabytes: float) -> Iterator[str]:
    """Yield mixed reviews until they have as many bytes, the same ones at every run."""
    texts, _ = reviews("imdb")
    halves = [(text[: len(text) // 2], text[len(text) // 2 :]) for text in texts]
    chance, left = np.random.default_rng(0), megabytes * MEGABYTE
    while left > 0:
        for first, second in chance.integers(len(texts), size=(ROWS, 2)):
            yield (text := halves[first][0] + halves[second][1])
            left -= len(text.encode())
            if left <= 0:
                return


def write_corpus(megabytes: float, folder: Path) -> int:
    """Write train.parquet of mixed reviews and a dev.parquet of a few into `folder`; return the documents of train."""
    folder.mkdir(parents=True)
    count = 0
    for split, size in (("train", megabytes), ("dev", 0.1)):
        texts = documents(size)
        with pq.ParquetWriter(folder / f"{split}.parquet", CANONICAL, compression="zstd") as writer:
            while rows := [text for _, text in zip(range(ROWS), texts, strict=False)]:
                names = [f"{split}{count + i:012}" for i in range(len(rows))]
                given = {"id": names, "text": rows, "source": ["mixed"] * len(rows)}
                columns = [pa.array(given.get(field.name, [None] * len(rows)), field.type) for field in CANONICAL]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=CANONICAL))
                count += len(rows) if split == "train" else 0
    return count


def tokenizer_folder(folder: Path) -> Path:
    """Write the tokenizer of MiniLM as the stage `train_tokenizer` adopts it, and return its folder."""
    from pipeline.params import load_params
    from pipeline.stages import train_tokenizer

    settings = load_params(ROOT / "params.yaml")
    out = folder / "tokenizer"
    train_tokenizer.run(settings, corpus=folder, init_from=ROOT / settings.init_from.path, out=out)
    return out


def stage(corpus: Path, tokenizer: Path, out: Path) -> None:
    """Run the stage."""
    from pipeline.params import load_params
    from pipeline.stages import tokenize_corpus

    tokenize_corpus.run(load_params(ROOT / "params.yaml"), corpus=corpus, tokenizer=tokenizer, out=out)


def alone(corpus: Path, tokenizer: Path, out: Path) -> dict[str, float]:
    """Run the stage in a process of its own; return its seconds and the most memory that it held, in megabytes."""
    begun = time.perf_counter()
    command = [sys.executable, __file__, "--alone", str(corpus), str(tokenizer), str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    peak: float = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": round(time.perf_counter() - begun, 1), "peak_megabytes": peak}


def pair(corpus: Path, tokenizer: Path, out: Path, megabytes: float, *, first: bool) -> dict[str, float]:
    """Time both on one corpus and return MB per second and the ratio; `first`: whether ours begins."""
    from pipeline.tokenization.folder import load_tokenizer
    from pipeline.tokenization.table import read_texts

    texts = read_texts(corpus / "train.parquet")
    encoder, _ = load_tokenizer(tokenizer)

    def reference() -> None:
        for start in range(0, len(texts), BATCH):
            encoder.encode_batch(texts[start : start + BATCH], add_special_tokens=False)

    took = {}
    for name in ("ours", "reference") if first else ("reference", "ours"):
        took[name] = timed(reference if name == "reference" else lambda: stage(corpus, tokenizer, out))
    return {
        "reference": round(megabytes / took["reference"].wall, 2),
        "ours": round(megabytes / took["ours"].wall, 2),
        "ratio": round(took["reference"].wall / took["ours"].wall, 2),
        "processor_ratio": round(took["reference"].processor / took["ours"].processor, 2),
    }


def main() -> None:
    """Run the pairs, then the stage alone on both sizes, and print a line for each and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=1000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--pair-size", type=float, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", nargs=3, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)  # read by tokenizers when its first batch comes
    if options.alone:
        stage(*options.alone)
        print(json.dumps(peak_megabytes()))
        return
    pairs, sizes = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_corpus(options.pair_size, folder / "pair")
        tokenizer = tokenizer_folder(folder)
        for number in range(options.pairs + 1):  # the first one warms up
            found = pair(folder / "pair", tokenizer, folder / "out", options.pair_size, first=number % 2 == 0)
            if number:
                pairs.append(found)
                print(f"pair {number}: {found}", flush=True)
        for size in (options.size / 10, options.size):
            count = write_corpus(size, folder / f"{size}")
            found_alone: dict[str, Any] = {"megabytes": size, "documents": count}
            sizes.append(found_alone | alone(folder / f"{size}", tokenizer, folder / "out"))
            print(sizes[-1], flush=True)
    result = {
        "pairs": pairs,
        "median_ratio": statistics.median(one["ratio"] for one in pairs),
        "median_processor_ratio": statistics.median(one["processor_ratio"] for one in pairs),
        "sizes": sizes,
        "peak_megabytes": sizes[1]["peak_megabytes"],
        "growth": round(sizes[1]["peak_megabytes"] - sizes[0]["peak_megabytes"], 1),
        "goals": GOALS,
        "threads": options.threads,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
