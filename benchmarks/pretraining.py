"""Tokens per second of masked-LM pretraining: our loop against transformers' Trainer as its run_mlm example uses it.

    python benchmarks/pretraining.py [--pairs 3] [--steps 12] [--threads 2] [--precision auto]

Same BERT (4 layers, width 256, vocabulary 8,192), same packed sequences of 128 generated tokens, same batches of 32,
same AdamW settings, one process, the two loops in turn, in pairs whose order alternates. The reference runs in float32,
as the example does on a processor; ours in what `--precision` means here, which is printed. Tokens per second and
`ratio` are by the clock; `processor_ratio` compares processor time, which other programs on the machine disturb less.
The last line is one JSON object.
"""

import argparse
import functools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
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

VOCABULARY, LENGTH, BATCH, SPECIAL = 8192, 128, 32, 5
GOAL = 3.0
LEARNING_RATE, WEIGHT_DECAY = 5e-4, 0.01


class Seconds(NamedTuple):
    """What a run took: by the clock, and of all threads of this process together."""

    wall: float
    processor: float


def model() -> BertForMaskedLM:
    """Return the model that both loops train: the library's defaults but for the size."""
    torch.manual_seed(0)
    return BertForMaskedLM(
        BertConfig(
            vocab_size=VOCABULARY,
            num_hidden_layers=4,
            hidden_size=256,
            num_attention_heads=4,
            intermediate_size=1024,
            max_position_embeddings=LENGTH,
            attention_probs_dropout_prob=0.0,  # as in our models; it speeds up the reference as much
        )
    )


def corpus(rows: int) -> np.ndarray:
    """Return packed sequences, (rows, LENGTH), whose ids follow Zipf's law as words do."""
    generator = np.random.default_rng(0)
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


def timed(run: Callable[[], object]) -> Seconds:
    """Run and return the wall time and the processor time it took."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return Seconds(time.perf_counter() - wall, time.process_time() - processor)


def reference(rows: np.ndarray, steps: int) -> Seconds:
    """Train with Trainer and DataCollatorForLanguageModeling and return what it took, making the loop included."""
    dataset = [{"input_ids": row.tolist(), "attention_mask": [1] * LENGTH} for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        collator = DataCollatorForLanguageModeling(tokenizer(), mlm_probability=0.15)
        module = model()
        return timed(lambda: Trainer(module, arguments, data_collator=collator, train_dataset=dataset).train())


def ours(rows: np.ndarray, steps: int, settings: RuntimeParams) -> Seconds:
    """Train with `pipeline.training` and return what it took, making the loop and the last save included."""
    objective = MaskedLM(Masking(mask_token_id=4, share=0.15, special=np.arange(VOCABULARY) < SPECIAL))
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
    bert = model()
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


def main() -> None:
    """Run the pairs and print the table and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    options = parser.parse_args()
    settings = RuntimeParams(seed=1, threads=options.threads, precision=options.precision)
    dtype = runtime.prepare(settings)
    precision = str(dtype).removeprefix("torch.")
    rows, tokens = corpus(2 * BATCH * options.steps), BATCH * LENGTH * options.steps
    print(f"{options.threads} threads; reference float32, ours {precision}")
    torch.use_deterministic_algorithms(False)  # the example does not ask for it
    reference(rows, 1)
    ours(rows, 1, settings)
    pairs = []
    for pair in range(options.pairs):
        took: dict[str, Seconds] = {}
        for name in ("reference", "ours") if pair % 2 == 0 else ("ours", "reference"):
            torch.use_deterministic_algorithms(name == "ours")
            took[name] = ours(rows, options.steps, settings) if name == "ours" else reference(rows, options.steps)
        pairs.append(
            {
                "reference": round(tokens / took["reference"].wall),
                "ours": round(tokens / took["ours"].wall),
                "ratio": round(took["reference"].wall / took["ours"].wall, 2),
                "processor_ratio": round(took["reference"].processor / took["ours"].processor, 2),
            }
        )
        print(f"pair {pair + 1}: {pairs[-1]}", flush=True)
    result = {
        "pairs": pairs,
        "median_ratio": round(statistics.median(pair["ratio"] for pair in pairs), 2),
        "median_processor_ratio": round(statistics.median(pair["processor_ratio"] for pair in pairs), 2),
        "goal": GOAL,
        "precision": precision,
        "threads": options.threads,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
