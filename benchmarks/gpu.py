"""Tokens per second of pretraining on a card, and the share of the card's own matrix product that they come to.

    python benchmarks/gpu.py [--seconds 150] [--dropout 0.0] [--profile] [--tiny]

Needs torch, transformers and numpy, as `pipeline.architectures`, `pipeline.objectives` and `pipeline.training` do,
whose models, batches, losses and groups of weights it trains: BERT-base by masked LM on rows of 512 and of 128
tokens, its head at the masked positions alone, and GPT-2 small by causal LM on rows of 1,024. A step is bfloat16
autocast, attention by torch's Flash or cuDNN kernel, gradients cut to norm 1 and fused AdamW, and model and loss are
compiled into one graph. What would make the host wait for the card is counted while the steps run; it should be
nothing. Batches of generated tokens lie on the card beforehand. Batch sizes are tried while `--seconds` last, the
best one is kept.

Utilisation is the model's operations per second over those of a product of two 8,192 x 8,192 bfloat16 matrices of
random numbers on the same card, the faster one of a measurement before and one after. A step's operations are
6 for every token and weight of the layers' matrices, 6 for every weight of the head's matrices and position that the
head is computed at, and 12 x layers x width x length for a token's attention (Chowdhery et al. 2022, "PaLM",
appendix B), also where it is causal, of which half is left out by the kernel; looking up embeddings counts nothing.
`layers_utilisation` leaves the head out: 6 N a token without embeddings, and attention.

`--tiny` runs all of it on a processor with models that mean nothing. Where there is no card, one line says so and
the exit code is 0. The last line is one JSON object.
"""

import argparse
import contextlib
import gc
import itertools
import json
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from pipeline.architectures import ARCHITECTURES
from pipeline.objectives.causal_lm import CausalLM
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.masking import Masking
from pipeline.training import runtime
from pipeline.training.trainer import parameter_groups

GOAL, WINDOWS, SPECIAL, MASK, END = 0.45, 3, 5, 4, 3
# under this name transformers makes no mask, which rows without padding need not and the fast kernels cannot have
UNMASKED = "sdpa_without_mask"
OPTIMIZATION = SimpleNamespace(learning_rate=1e-4, weight_decay=0.01, embeddings_rate=1.0)


class Shape(NamedTuple):
    """A model, its objective, the length of its rows, and the batch sizes to try, the likeliest first."""

    name: str
    family: str
    objective: str
    layers: int
    width: int
    heads: int
    vocabulary: int  # as published, filled up to a multiple of 64
    length: int
    batches: tuple[int, ...]


CARD = (
    Shape("BERT-base, 512 tokens", "bert", "masked_lm", 12, 768, 12, 30528, 512, (128, 64, 32)),
    Shape("BERT-base, 128 tokens", "bert", "masked_lm", 12, 768, 12, 30528, 128, (512, 256, 1024)),
    Shape("GPT-2 small, 1,024 tokens", "gpt", "causal_lm", 12, 768, 12, 50304, 1024, (32, 64, 16)),
)
TINY = (
    Shape("tiny BERT", "bert", "masked_lm", 2, 32, 2, 320, 32, (4, 8)),
    Shape("tiny GPT-2", "gpt", "causal_lm", 2, 32, 2, 320, 32, (4,)),
)


class SummedLoss(nn.Module):
    """The objective's module, of which the loss alone is wanted: what counts its terms is left out of the graph."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, **batch: Tensor) -> Tensor:
        """Return the summed loss of a batch as the objective collates it."""
        return self.loss(**batch)["loss"]


def objective_of(shape: Shape) -> Any:
    """Return the objective of `pipeline.objectives`."""
    if shape.objective == "causal_lm":
        return CausalLM(END, across_documents=True)
    return MaskedLM(Masking(mask_token_id=MASK, share=0.15, special=np.arange(shape.vocabulary) < SPECIAL))


def module_of(shape: Shape, dropout: float, attention: str = UNMASKED) -> SummedLoss:
    """Return model and loss on the device, ready to be trained."""
    torch.manual_seed(0)
    architecture = SimpleNamespace(
        layers=shape.layers,
        hidden_size=shape.width,
        attention_heads=shape.heads,
        intermediate_size=4 * shape.width,
        max_length=shape.length,
        dropout=dropout,
    )
    family = ARCHITECTURES[shape.family]()
    model = family.build(architecture, head=shape.objective, vocabulary_size=shape.vocabulary, pad_token_id=0)
    model.set_attn_implementation(attention)
    return SummedLoss(objective_of(shape).loss(model)).to(runtime.device()).train()


def batches_of(shape: Shape, rows: int, count: int = 4) -> list[tuple[dict[str, Tensor], int]]:
    """Return batches on the device and how many tokens each predicts; their ids follow Zipf's law as words do.

    The head's positions are filled up to one number for all, with labels that cost nothing: one shape, one graph.
    """
    generator = np.random.default_rng(0)
    weights = 1 / np.arange(1, shape.vocabulary - SPECIAL + 1)
    ids = SPECIAL + generator.choice(len(weights), size=(count, rows, shape.length), p=weights / weights.sum())
    made = [objective_of(shape).collate(list(batch.astype(np.uint16)), generator) for batch in ids]
    counts = [len(batch["labels"]) for batch in made]
    room = max(counts) if shape.objective == "causal_lm" else 128 * math.ceil(max(counts) / 128)
    for batch, predicted in zip(made, counts, strict=True):
        batch["positions"] = nn.functional.pad(batch["positions"], (0, room - predicted))
        batch["labels"] = nn.functional.pad(batch["labels"], (0, room - predicted), value=-100)
    return [({k: v.to(runtime.device()) for k, v in batch.items()}, n) for batch, n in zip(made, counts, strict=True)]


def operations(shape: Shape, rows: int, predicted: float) -> dict[str, float]:
    """Return the operations of a step: those of the layers, and those of the head at its positions."""
    tokens = rows * shape.length
    weights = shape.layers * 12 * shape.width**2  # 4 matrices of attention, 2 of 4 times the width
    attention = 12 * shape.layers * shape.width * shape.length
    head = shape.width * (shape.vocabulary + (shape.width if shape.family == "bert" else 0))
    return {"layers": float(tokens * (6 * weights + attention)), "head": 6.0 * predicted * head}


def now() -> float:
    """Return the time in seconds, once the card has done all that it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def matrix_product(size: int, dtype: torch.dtype = torch.bfloat16) -> float:
    """Return the operations per second of a product of two (size, size) matrices: the best of five windows."""
    left, right = (torch.randn(size, size, device=runtime.device(), dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(6):  # the first one warms up
        started = now()
        for _ in range(20):
            left @ right
        seconds.append((now() - started) / 20)
    return 2 * size**3 / min(seconds[1:])


@contextlib.contextmanager
def counted_waits() -> Iterator[list[warnings.WarningMessage]]:
    """Collect a warning for each operation that makes the host wait for the card."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("warn")
        try:
            yield caught
        finally:
            if torch.cuda.is_available():
                torch.cuda.set_sync_debug_mode("default")


def trainer(shape: Shape, rows: int, options: argparse.Namespace) -> tuple[Callable[[], Tensor], float]:
    """Return what makes one step and returns its mean loss, and the tokens that a batch predicts on average."""
    module, batches = module_of(shape, options.dropout), batches_of(shape, rows)
    optimizer = torch.optim.AdamW(parameter_groups(module, OPTIMIZATION), lr=OPTIMIZATION.learning_rate, fused=True)
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    compiled = torch.compile(module, dynamic=False, fullgraph=True, backend=options.backend)
    endless = itertools.cycle(batches)

    def step() -> Tensor:
        batch, predicted = next(endless)
        with runtime.autocast(torch.bfloat16):
            loss = compiled(**batch) / predicted
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step, statistics.fmean(predicted for _, predicted in batches)


def measured(shape: Shape, rows: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train and return the tokens per second of each window, their median, operations, loss and waits."""
    begun = now()
    step, predicted = trainer(shape, rows, options)
    first = step().item()
    for _ in range(4):
        step()
    ready = now()
    for _ in range(3):
        step()
    steps = max(3, round(options.window / ((now() - ready) / 3)))
    speeds, waits = [], 0
    for _ in range(WINDOWS):
        started = now()
        with counted_waits() as caught:
            for _ in range(steps):
                loss = step()
        waits += sum("synchroniz" in str(warning.message) for warning in caught)
        speeds.append(steps * rows * shape.length / (now() - started))
    if options.profile and torch.cuda.is_available():
        profile(step)
    speed = statistics.median(speeds)
    work = {name: count * speed / (rows * shape.length) for name, count in operations(shape, rows, predicted).items()}
    return {
        "shape": shape.name,
        "rows": rows,
        "tokens_per_second": round(speed),
        "windows": [round(value) for value in speeds],
        "steps": steps,
        "waits": waits,
        "operations_per_second": work["layers"] + work["head"],
        "layers_operations_per_second": work["layers"],
        "loss": [round(first, 3), round(loss.item(), 3)],
        "seconds_to_compile": round(ready - begun, 1),
    }


def profile(step: Callable[[], Tensor]) -> None:
    """Print where the card's time goes in three steps."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(3):
            step()
        now()
    print(profiler.key_averages().table(sort_by="self_device_time_total", row_limit=20, max_name_column_width=70))


def best_of(shape: Shape, deadline: float, options: argparse.Namespace) -> dict[str, Any]:
    """Return the fastest batch size of those that there is memory and time for."""
    results: list[dict[str, Any]] = []
    longest = 0.0
    for rows in shape.batches:
        started = time.monotonic()
        if results and started + longest > deadline:
            break
        try:
            results.append(measured(shape, rows, options))
            print(results[-1], flush=True)
        except torch.OutOfMemoryError:
            print(f"{shape.name}: no memory for {rows} rows", flush=True)
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()
        longest = max(longest, time.monotonic() - started)
    return max(results, key=lambda result: result["tokens_per_second"])


def main() -> None:
    """Measure every shape and print a line for each batch size and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--window", type=float, default=2.0, help="seconds of each of the three timed windows")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    if not (torch.cuda.is_available() or options.tiny):
        print(json.dumps({"card": None, "note": "no CUDA card is found here, so nothing was measured"}))
        return
    begun = time.monotonic()
    AttentionInterface.register(UNMASKED, sdpa_attention_forward)
    torch.set_float32_matmul_precision("high")
    shapes, size = (TINY, 256) if options.tiny else (CARD, 8192)
    kernels = [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION]  # no other, so that a slow one is an error
    product, results = matrix_product(size), []
    with sdpa_kernel(kernels):
        for place, shape in enumerate(shapes, 1):
            deadline = begun + (options.seconds - 5) * place / len(shapes)
            results.append(best_of(shape, deadline, options))
    products = [product, matrix_product(size)]
    for result in results:
        for name in ("operations_per_second", "layers_operations_per_second"):
            result[name.replace("operations_per_second", "utilisation")] = round(result[name] / max(products), 3)
            result[name] = float(f"{result[name]:.4g}")
    summary = {
        "card": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "product_operations_per_second": [float(f"{value:.4g}") for value in products],
        "shapes": results,
        "goal": GOAL,
        "met": all(result["utilisation"] >= GOAL for result in results),
        "seconds": round(time.monotonic() - begun, 1),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
