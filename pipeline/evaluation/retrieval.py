"""Which of many passages is a question about? By the words that both have, before anybody reads them."""

from collections.abc import Sequence

import bm25s
import numpy as np

from pipeline.evaluation.answer_texts import normalized


def best_passages(passages: Sequence[str], questions: Sequence[str], count: int) -> np.ndarray:
    """Return the `count` passages that fit each question best, best first, int64 (questions, count or all passages).

    By BM25 (Robertson & Zaragoza 2009, equation 3.15) on words as SQuAD compares them; of equal ones the earlier.
    """
    index, indexed = bm25s.BM25(), [normalized(passage) or [""] for passage in passages]  # none without a length
    index.index(indexed, show_progress=False)
    known = {word for words in indexed for word in words}  # of others bm25s makes an error

    def scores(question: str) -> np.ndarray:
        words = [word for word in normalized(question) if word in known]
        return np.asarray(index.get_scores(words)) if words else np.zeros(len(passages))

    scored = np.stack([scores(question) for question in questions])
    return np.argsort(-scored, axis=1, kind="stable")[:, :count]


def recall(best: np.ndarray, right: Sequence[int], count: int) -> float:
    """Return the share of questions whose right passage is among their `count` best."""
    return float((best[:, :count] == np.asarray(right)[:, None]).any(axis=1).mean())
