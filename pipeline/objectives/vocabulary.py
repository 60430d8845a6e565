"""What an objective has to know of the tokenizer. numpy only."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Vocabulary:
    """The pieces of the tokenizer in `folder`: how many, and which are special, by transformers' names of their ids."""

    folder: Path
    size: int
    ids: dict[str, int]  # pad_token_id, cls_token_id, …

    @property
    def special(self) -> np.ndarray:
        """Whether an id is a special token, bool of shape (size,)."""
        special = np.zeros(self.size, dtype=bool)
        special[list(self.ids.values())] = True
        return special
