"""Rows per second of fine-tuning a classifier: our loop against transformers' Trainer, plain and tuned.

    python benchmarks/finetuning.py [--pairs 5] [--rows 1024] [--dev 872] [--data FOLDER] [--threads 2]
        [--precision auto]

Everybody trains MiniLM (6 layers, width 384) with a new head for one pass over the same rows, in batches of 32, by the
same AdamW, learning rate and linear schedule, in one process, in turn. The reference is Trainer as transformers'
run_glue example sets it up: rows padded to 128 tokens, float32. Tuned is Trainer with the settings that it has for
speed: rows padded to the longest of their batch, grouped by length, bfloat16. Ours runs in what `--precision` means
here. Rows are the package's sentences of Rotten Tomatoes, or those of `--data`, a folder with GLUE's train.tsv and
test.tsv; tokenizing and loading are not timed. After each run the same function measures the accuracy on `--dev` other
rows. Ratios are by the clock; `processor` ones compare processor time, which other programs disturb less. The last line
is one JSON object.
"""

import argparse
import functools
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reviews import Seconds, glue_rows, pretrained_folder, reviews, timed
from scipy.stats import t as student_t
from setting import set_up
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    default_data_collator,
    logging,
)

from pipeline.params import RuntimeParams, TrainingParams
from pipeline.tasks.text_classification import TextClassification
from pipeline.tokenization.ragged import TokenRows
from pipeline.training import runtime, trainer

LENGTH, BATCH = 128, 32
GOALS = {"reference": 8.0, "tuned": 1.3}
TRAINING = TrainingParams(
    epochs=1,
    batch_size=BATCH,
    learning_rate=1e-4,
    embeddings_rate=1.0,
    schedule="linear",
    warmup_share=0.1,
    weight_decay=0.01,
    max_gradient_norm=1.0,
    evaluations=1,
    patience=None,
    checkpoint_minutes=60.0,
)
Rows = list[dict[str, Any]]  # input_ids and label, as run_glue's `map` makes them


def rows_of(options: argparse.Namespace, folder: Path) -> tuple[Rows, Rows]:
    """Return the tokenized rows to train on and those to measure by."""
    if options.data is None:
        texts, labels = reviews("rotten_tomatoes")
        order = np.random.default_rng(0).permutation(len(texts))
        taken = {"test": order[: options.dev], "train": order[options.dev :][: options.rows]}
        chosen = {name: ([texts[i] for i in places], labels[places]) for name, places in taken.items()}
    else:
        chosen = glue_rows(options.data)
        texts, labels = chosen["train"]
        places = np.random.default_rng(0).permutation(len(texts))[: options.rows]
        chosen["train"] = [texts[i] for i in places], labels[places]
        chosen["test"] = chosen["test"][0][: options.dev], chosen["test"][1][: options.dev]
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def tokenized(name: str) -> Rows:
        texts, labels = chosen[name]
        ids = tokenizer(texts, truncation=True, max_length=LENGTH)["input_ids"]
        return [{"input_ids": row, "label": int(label)} for row, label in zip(ids, labels, strict=True)]

    return tokenized("train"), tokenized("test")


def with_trainer(train: Rows, seed: int, folder: Path, *, tuned: bool) -> tuple[torch.nn.Module, Seconds]:
    """Train with transformers' Trainer; return the model and what it took, making the loop included."""
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # attention without dropout, as ours: it speeds up the reference
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, attention_probs_dropout_prob=0.0)
    rows = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in train]
    if not tuned:
        padded = tokenizer.pad(rows, padding="max_length", max_length=LENGTH)
        rows = [{name: padded[name][i] for name in padded} for i in range(len(rows))]
    steps = -(-len(rows) // BATCH)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=TRAINING.learning_rate,
            weight_decay=TRAINING.weight_decay,
            warmup_steps=round(TRAINING.warmup_share * steps),
            bf16=tuned,
            train_sampling_strategy="group_by_length" if tuned else "random",
            seed=seed,
            use_cpu=runtime.device().type == "cpu",  # without it Trainer refuses bfloat16 on a processor
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        collator: Any = DataCollatorWithPadding(tokenizer) if tuned else default_data_collator
        took = timed(lambda: Trainer(model, arguments, data_collator=collator, train_dataset=rows).train())
    return model, took


def with_ours(train: Rows, seed: int, folder: Path, settings: RuntimeParams) -> tuple[torch.nn.Module, Seconds]:
    """Train with `pipeline.training`; return the model and what it took, making the loop and the last save included."""
    task = TextClassification(["negative", "positive"])
    model = task.from_pretrained(folder, dropout=0.1, seed=seed)
    tokens = TokenRows.from_rows(
        [row["input_ids"] for row in train], [row["label"] for row in train], np.dtype(np.uint16)
    )
    pad_token_id: Any = model.config.pad_token_id
    with tempfile.TemporaryDirectory() as scratch:
        run = functools.partial(
            trainer.train,
            task.loss(model),
            task.rows(tokens),
            lambda rows, generator: task.collate(rows, pad_token_id),
            training=TRAINING,
            runtime=settings.model_copy(update={"seed": seed}),
            checkpoints=Path(scratch),
            lengths=tokens.lengths,
        )
        took = timed(run)
    return model, took


def accuracy(model: Any, rows: Rows) -> float:
    """Return the share of rows that a model gets right, in float32."""
    hits, order = 0, sorted(rows, key=lambda row: len(row["input_ids"]))
    model.eval()
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row["input_ids"]) for row in batch], batch_first=True)
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=(ids != 0).long()).logits
        hits += int((logits.argmax(dim=1) == torch.tensor([row["label"] for row in batch])).sum())
    return hits / len(rows)


def difference(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    """Return the mean difference in accuracy over the pairs, half its 95 % interval, and whether that holds zero."""
    differences = np.subtract(ours, theirs)
    if len(differences) < 2:
        return {"mean": round(float(differences.mean()), 4), "half_interval": None, "equal": None}
    error = float(differences.std(ddof=1)) / len(differences) ** 0.5
    half = float(student_t.ppf(0.975, len(differences) - 1)) * error
    mean = float(differences.mean())
    return {"mean": round(mean, 4), "half_interval": round(half, 4), "equal": bool(abs(mean) <= half or mean == 0)}


def main() -> None:
    """Run the pairs and print a line for each and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--dev", type=int, default=872)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    settings = RuntimeParams(seed=0, threads=options.threads, precision=options.precision)
    precision = str(runtime.prepare(settings)).removeprefix("torch.")
    folder = pretrained_folder()
    train, dev = rows_of(options, folder)
    runs: dict[str, Callable[[Rows, int], tuple[torch.nn.Module, Seconds]]] = {
        "reference": lambda rows, seed: with_trainer(rows, seed, folder, tuned=False),
        "tuned": lambda rows, seed: with_trainer(rows, seed, folder, tuned=True),
        "ours": lambda rows, seed: with_ours(rows, seed, folder, settings),
    }
    tokens = sum(len(row["input_ids"]) for row in train) / len(train)
    print(f"{options.threads} threads, {len(train)} rows of {tokens:.1f} tokens; ours {precision}", flush=True)
    for run in runs.values():
        run(train[:BATCH], 0)
    pairs: list[dict[str, float]] = []
    accuracies: dict[str, list[float]] = {name: [] for name in runs}
    for pair in range(options.pairs):
        names = [*runs][pair % 3 :] + [*runs][: pair % 3]
        took = {}
        for name in names:
            set_up(settings, ours=name == "ours")
            model, took[name] = runs[name](train, pair)
            accuracies[name].append(accuracy(model, dev))
        pairs.append(
            {
                **{name: round(len(train) / took[name].wall, 1) for name in runs},
                **{f"ratio_to_{name}": round(took[name].wall / took["ours"].wall, 2) for name in GOALS},
                **{f"processor_{name}": round(took[name].processor / took["ours"].processor, 2) for name in GOALS},
                **{f"accuracy_{name}": round(accuracies[name][-1], 4) for name in runs},
            }
        )
        print(f"pair {pair + 1}: {pairs[-1]}", flush=True)
    result = {
        "pairs": pairs,
        "median_ratios": {name: statistics.median(pair[f"ratio_to_{name}"] for pair in pairs) for name in GOALS},
        "median_processor_ratios": {
            name: statistics.median(pair[f"processor_{name}"] for pair in pairs) for name in GOALS
        },
        "goals": GOALS,
        "accuracy": {name: round(statistics.fmean(values), 4) for name, values in accuracies.items()},
        "accuracy_of_ours_less": {name: difference(accuracies["ours"], accuracies[name]) for name in GOALS},
        "precision": precision,
        "threads": options.threads,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
