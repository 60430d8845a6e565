"""How long a row a model can read, as its configuration says. No torch: the tokenizer stage asks too."""

from collections.abc import Mapping
from typing import Any


def longest_row(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens a row may have for a model with this config.json, None where it states no number.

    RoBERTa counts from `pad_token_id` + 1 on, so that as many of its positions are never a token's. T5 has no
    positions, and its `n_positions` is the length that it was trained on.
    """
    kind = config.get("model_type")
    positions = config.get("n_positions" if kind in ("gpt2", "t5") else "max_position_embeddings")
    first = config.get("pad_token_id", 1) if kind == "roberta" else -1
    if type(positions) is not int or type(first) is not int:
        return None
    return positions - first - 1
