"""Which of many passages is a question about? By the words that both have, before anybody reads them."""

from collections.abc import Sequence

import bm25s
import numpy as np

from pipeline.evaluation.answer_texts import normalized


def best_passages(passages: Sequence[str], questions: Sequence[str], count: int) -> np.ndarray:
    """Return the `count` passages that fit each question best, best first, int64 (questions, count or all passages).

    By BM25 (Robertson & Zaragoza 2009, equation 3.15) on words as SQuAD compares them; of equal ones the earlier.
    """
    index = bm25s.BM25()
    index.index([_words(passage) for passage in passages], show_progress=False)
    scores = np.stack([index.get_scores(_words(question)) for question in questions])
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def _words(text: str) -> list[str]:
    return normalized(text) or [""]  # bm25s takes no text without words


def recall(best: np.ndarray, right: Sequence[int], count: int) -> float:
    """Return the share of questions whose right passage is among their `count` best."""
    return float((best[:, :count] == np.asarray(right)[:, None]).any(axis=1).mean())
