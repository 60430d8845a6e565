"""Texts written by a model, token by token, as the section `generation` of a task says."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from pipeline.params import GenerationParams
from pipeline.training import runtime
from pipeline.training.batches import Rows
from pipeline.training.prediction import prompts
from pipeline.training.progress import Progress


def generation_config(generation: GenerationParams, model: Any) -> GenerationConfig:
    """Return what transformers' `generate` goes by; saved with a model, it is how the model writes wherever it is."""
    ids = ("pad_token_id", "eos_token_id", "decoder_start_token_id")
    drawn: dict[str, Any] = {
        "do_sample": True,
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "top_k": 0,
    }
    searched: dict[str, Any] = {"do_sample": False, "num_beams": generation.beams}
    if generation.beams > 1:
        # stopping at the first finished beams would cut off texts that are likelier as a whole
        searched |= {"length_penalty": generation.length_penalty, "early_stopping": False}
    return GenerationConfig(
        max_new_tokens=generation.max_tokens,
        **(drawn if generation.temperature else searched),
        **{name: value for name in ids if (value := getattr(model.config, name, None)) is not None},
    )


def generate(
    model: Any, rows: Rows, *, batch_size: int, dtype: torch.dtype, name: str | None = None
) -> list[np.ndarray]:
    """Return the ids, int64 (tokens,), that `model` writes for each row: up to the end token, which is among them.

    How it writes stands in `model.generation_config`; the model is left in eval mode. Rows are sorted by length first,
    so that batches carry next to no padding. With `name`, progress lines are printed.
    """
    order = np.argsort(rows.lengths, kind="stable")
    progress = Progress(name or "", len(rows), step="row", unit="rows")
    written: list[np.ndarray] = [np.zeros(0, np.int64)] * len(rows)
    model.eval()
    with torch.inference_mode(), runtime.autocast(dtype):
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size].tolist()
            inputs = prompts(model, rows, batch)
            ids = model.generate(**inputs)
            begun = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
            for row, tokens in zip(batch, ids[:, begun:].cpu().numpy(), strict=True):
                written[row] = _ended(tokens, model.config.eos_token_id)
            if progress.advance(len(batch)) and name:
                progress.show(start + len(batch))
    return written


def _ended(tokens: np.ndarray, end_token_id: int) -> np.ndarray:
    ends = np.flatnonzero(tokens == end_token_id)
    return tokens[: ends[0] + 1] if len(ends) else tokens


def continuations(model: Any, prompts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the ids, int64 (tokens,), with which a decoder goes on with each prompt, ids of int64 (tokens,).

    One prompt at a time, its number the seed: what is drawn for one does not hang on the others, nor do all draw alike,
    which would look as if the model had no other words.
    """
    written = []
    model.eval()
    for number, prompt in enumerate(prompts):
        ids = torch.from_numpy(prompt).unsqueeze(0).to(model.device)
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(number)
            found = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids))
        written.append(found[0, len(prompt) :].cpu().numpy())
    return written
