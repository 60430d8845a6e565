"""Going on with a text, token by token. torch, transformers and numpy alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

from pipeline.params import GenerationParams, TaskParams
from pipeline.tasks.generation import continuations, generation_config
from pipeline.tasks.labelling import LabellingTask, Said
from pipeline.training.batches import Rows
from pipeline.training.prediction import Reduce, predict_logits

SAMPLES = 20  # test rows that are gone on with
PROMPT_TOKENS = 24  # of a text without a completion, with its first [SEP]


class TextGeneration(LabellingTask):
    """A causal language model: every token's class is the next one (Radford et al. 2018, equation 1)."""

    best = ("loss", "min")
    head = "text_generation"

    def __init__(self, generation: GenerationParams) -> None:
        super().__init__([])
        self.generation = generation

    @classmethod
    def from_params(cls, task: TaskParams) -> Self:
        """Return the task that a section of `tasks` describes."""
        assert task.generation is not None  # pipeline.params refuses null for a task that writes
        return cls(task.generation)

    @property
    def names(self) -> dict[str, Any]:
        """Nothing: the tokenizer names the tokens."""
        return {}

    def described(self, model: Any) -> Any:
        """Return `model`, which from now on writes as the parameters say, here and wherever it is loaded."""
        model.generation_config = generation_config(self.generation, model)
        return model

    def reduction(self, tokens: Rows) -> Reduce:
        """Return what keeps the cross-entropy of each target alone, float32 (targets, 1), of logits (targets, V)."""

        def losses(logits: Tensor, chosen: np.ndarray) -> Tensor:
            labels = torch.from_numpy(tokens.labels[chosen]).to(logits.device)
            return F.cross_entropy(logits, labels, reduction="none").unsqueeze(1)

        return losses

    def score(self, logits: np.ndarray, tokens: Rows) -> dict[str, float]:
        """Return the mean cross-entropy of a token, "loss", from what `reduction` keeps; its exponential, "perplexity".

        Where a figure of its own was kept beside each, (targets, 2), it is left out.
        """
        loss = float(logits[:, 0].astype(np.float64).mean())
        return {"loss": loss, "perplexity": float(np.exp(loss))}

    def ask(self, model: PreTrainedModel, tokens: Rows, texts: Sequence[str], *, batch_size: int, name: str) -> Said:
        """Return how many nats each text costs, float64 (texts,), and how `model` goes on with some of them."""
        losses = predict_logits(
            model,
            tokens,
            batch_size=batch_size,
            pad_token_id=model.config.pad_token_id,
            dtype=torch.float32,
            name=name,
            reduce=self.reduction(tokens),
        )
        nats = np.bincount(owner_of_target(tokens), losses[:, 0].astype(np.float64), minlength=len(texts))
        return Said(nats, written=self._written(model, tokens))

    def measured_against(self, actual: Any, tokens: Rows, texts: Sequence[str]) -> np.ndarray:
        """Return how many characters and tokens of each text are predicted, int64 (texts, 2).

        actual: what is to be written for each text, None where it is the text itself.
        """
        written = [text if completion is None else completion for text, completion in zip(texts, actual, strict=True)]
        counts = np.bincount(owner_of_target(tokens), minlength=len(texts))
        return np.stack([[len(text) for text in written], counts], axis=1).astype(np.int64)

    def _written(self, model: Any, tokens: Rows) -> list[tuple[str, str]]:
        """Return beginnings of rows, evenly spread over all, and how the model goes on with each."""
        tokenizer = AutoTokenizer.from_pretrained(Path(model.name_or_path), local_files_only=True)
        first = np.flatnonzero(np.diff(np.asarray(tokens.owners), prepend=-1))  # windows that begin a row
        chosen = np.unique(first[np.linspace(0, len(first) - 1, min(len(first), SAMPLES)).astype(int)])
        limit = model.config.max_position_embeddings - self.generation.max_tokens
        prompts = [_prompt(tokens, int(row), limit) for row in chosen]

        def text(ids: np.ndarray) -> str:
            return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

        written = continuations(model, prompts)
        return [(text(prompt), text(ids)) for prompt, ids in zip(prompts, written, strict=True)]


def owner_of_target(tokens: Rows) -> np.ndarray:
    """Return the row of the table that each target is from, int64 (targets,)."""
    return np.repeat(np.asarray(tokens.owners), np.diff(tokens.targets))


def _prompt(tokens: Rows, row: int, limit: int) -> np.ndarray:
    """Return the ids of a row that come before what is predicted, at most the last `limit`; else its first few."""
    ids, first = tokens[row], int(tokens.positions[tokens.targets[row]]) + 1
    prompt = ids[:first] if first > 1 else ids[: min(PROMPT_TOKENS, max(len(ids) // 2, 1))]
    return np.asarray(prompt[-limit:], dtype=np.int64)
