"""Tokens per second of masked-LM pretraining: our loop against transformers' Trainer, tuned and plain.

    python benchmarks/pretraining.py [--shape 4x256] [--pairs 5] [--steps 24] [--threads 2] [--precision auto]

Same BERT (`--shape`: layers x width, vocabulary 8,192), same packed sequences of 128 generated tokens, without padding,
same batches of 32, same AdamW settings, one process, the loops in turn, in an order that changes. The reference is
Trainer as transformers' run_mlm example sets it up, in float32 as on a processor; tuned is Trainer in bfloat16. Ours
runs in what `--precision` means here. After each run the same function measures the loss on the same masked sequences.

Tokens per second and ratios are by the clock; `processor` ones compare processor time, which other programs on the
machine disturb less. `utilisation` is the operations of our steps, counted as benchmarks/gpu.py says, over those of a
product of two 2,048 x 2,048 matrices in the same precision on the same threads. The last line is one JSON object.
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
from finetuning import difference
from gpu import Shape, matrix_product, operations
from reviews import Seconds, timed
from setting import set_up
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from pipeline.architectures.attention import attention_implementation
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.masking import Masking
from pipeline.params import OptimizationParams, RuntimeParams
from pipeline.training import runtime, trainer

VOCABULARY, LENGTH, BATCH, SPECIAL, MASKED = 8192, 128, 32, 5, 0.15
GOALS = {"tuned": 1.5, "reference": 5.0}
LEARNING_RATE, WEIGHT_DECAY = 5e-4, 0.01


def model(layers: int, width: int) -> BertForMaskedLM:
    """Return the model that all loops train: the library's defaults but for the size."""
    torch.manual_seed(0)
    return BertForMaskedLM(
        BertConfig(
            vocab_size=VOCABULARY,
            num_hidden_layers=layers,
            hidden_size=width,
            num_attention_heads=width // 64,
            intermediate_size=4 * width,
            max_position_embeddings=LENGTH,
            attention_probs_dropout_prob=0.0,  # as in our models; it speeds up the reference as much
        )
    )


def corpus(rows: int, seed: int = 0) -> np.ndarray:
    """Return packed sequences, (rows, LENGTH), whose ids follow Zipf's law as words do."""
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, VOCABULARY - SPECIAL + 1)
    ids = SPECIAL + generator.choice(VOCABULARY - SPECIAL, size=(rows, LENGTH), p=weights / weights.sum())
    ids[:, 0], ids[:, -1] = 2, 3
    return ids.astype(np.uint16)


def tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with the five special tokens, all that the reference's collator asks of it."""
    from tokenizers import Tokenizer, models

    names = ("pad", "unk", "cls", "sep", "mask")
    vocabulary = {f"[{name.upper()}]": i for i, name in enumerate(names)}
    vocabulary |= {f"w{i}": i for i in range(SPECIAL, VOCABULARY)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]")),
        **{f"{name}_token": f"[{name.upper()}]" for name in names},
    )


def with_trainer(bert: BertForMaskedLM, rows: np.ndarray, steps: int, seed: int, *, tuned: bool) -> Seconds:
    """Train with Trainer and DataCollatorForLanguageModeling and return what it took, making the loop included."""
    dataset = [{"input_ids": row.tolist(), "attention_mask": [1] * LENGTH} for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            bf16=tuned,
            seed=seed,
            use_cpu=runtime.device().type == "cpu",  # without it Trainer refuses bfloat16 on a processor
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        collator = DataCollatorForLanguageModeling(tokenizer(), mlm_probability=MASKED)
        return timed(lambda: Trainer(bert, arguments, data_collator=collator, train_dataset=dataset).train())


def with_ours(bert: BertForMaskedLM, rows: np.ndarray, steps: int, settings: RuntimeParams) -> Seconds:
    """Train with `pipeline.training` and return what it took, making the loop and the last save included."""
    objective = MaskedLM(masking())
    training = OptimizationParams(
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        embeddings_rate=1.0,
        schedule="linear",
        warmup_share=0.0,
        weight_decay=WEIGHT_DECAY,
        max_gradient_norm=1.0,
        evaluations=1,
        checkpoint_minutes=60.0,
    )
    bert.set_attn_implementation(attention_implementation())  # as our models are built and loaded
    module = objective.loss(bert)
    with tempfile.TemporaryDirectory() as folder:
        run = functools.partial(
            trainer.train,
            module,
            rows,
            objective.collate,
            training=training,
            runtime=settings,
            checkpoints=Path(folder),
            steps=steps,
            lengths=np.full(len(rows), LENGTH),
        )
        return timed(run)


def masking() -> Masking:
    """Return how tokens are masked: 15 % of them, as the reference does."""
    return Masking(mask_token_id=4, share=MASKED, special=np.arange(VOCABULARY) < SPECIAL)


def loss_of(bert: BertForMaskedLM, rows: np.ndarray) -> float:
    """Return the mean loss on masked tokens of `rows`, in float32, the same ones for every model."""
    masked, places = masking().apply(rows, np.random.default_rng(1))
    labels = np.where(places, rows.astype(np.int64), -100)
    bert.eval()
    with torch.inference_mode():
        return float(bert(torch.from_numpy(masked.astype(np.int64)), labels=torch.from_numpy(labels)).loss)


def utilisation(layers: int, width: int, tokens_per_second: float, peak: float) -> float:
    """Return the share of `peak`, operations per second, that our steps come to."""
    shape = Shape(f"{layers}x{width}", "bert", "masked_lm", layers, width, width // 64, VOCABULARY, LENGTH, ())
    step = operations(shape, BATCH, MASKED * BATCH * LENGTH)
    return sum(step.values()) * tokens_per_second / (BATCH * LENGTH) / peak


def main() -> None:
    """Run the pairs and print a line for each and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="4x256")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    options = parser.parse_args()
    layers, width = map(int, options.shape.split("x"))
    settings = RuntimeParams(seed=1, threads=options.threads, precision=options.precision)
    dtype = runtime.prepare(settings)
    rows, tokens = corpus(2 * BATCH * options.steps), BATCH * LENGTH * options.steps
    held_out = corpus(2 * BATCH, seed=1)
    runs: dict[str, Callable[[BertForMaskedLM, int, int], Seconds]] = {
        "tuned": lambda bert, steps, seed: with_trainer(bert, rows, steps, seed, tuned=True),
        "reference": lambda bert, steps, seed: with_trainer(bert, rows, steps, seed, tuned=False),
        "ours": lambda bert, steps, seed: with_ours(bert, rows, steps, settings.model_copy(update={"seed": seed})),
    }
    precision = str(dtype).removeprefix("torch.")
    print(
        f"{options.threads} threads, {options.shape}; reference float32, tuned bfloat16, ours {precision}", flush=True
    )
    for run in runs.values():
        run(model(layers, width), 1, 0)
    pairs: list[dict[str, float]] = []
    losses: dict[str, list[float]] = {name: [] for name in runs}
    for pair in range(options.pairs):
        took = {}
        for name in [*runs][pair % 3 :] + [*runs][: pair % 3]:
            set_up(settings, ours=name == "ours")
            bert = model(layers, width)
            took[name] = runs[name](bert, options.steps, pair)
            losses[name].append(loss_of(bert, held_out))
        pairs.append(
            {
                **{name: round(tokens / took[name].wall) for name in runs},
                **{f"ratio_to_{name}": round(took[name].wall / took["ours"].wall, 2) for name in GOALS},
                **{f"processor_{name}": round(took[name].processor / took["ours"].processor, 2) for name in GOALS},
                **{f"loss_{name}": round(losses[name][-1], 4) for name in runs},
            }
        )
        print(f"pair {pair + 1}: {pairs[-1]}", flush=True)
    peak, speed = matrix_product(2048, dtype), statistics.median(pair["ours"] for pair in pairs)
    result: dict[str, Any] = {
        "shape": options.shape,
        "pairs": pairs,
        "median_ratios": {name: statistics.median(pair[f"ratio_to_{name}"] for pair in pairs) for name in GOALS},
        "median_processor_ratios": {
            name: statistics.median(pair[f"processor_{name}"] for pair in pairs) for name in GOALS
        },
        "goals": GOALS,
        "loss_of_ours_less": {name: difference(losses["ours"], losses[name]) for name in GOALS},
        "utilisation": round(utilisation(layers, width, speed, peak), 3),
        "product_gigaflops": round(peak / 1e9),
        "precision": precision,
        "threads": options.threads,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
