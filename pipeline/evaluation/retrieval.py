"""Which of many passages is a question about? By the words that both have, or by the vectors of both."""

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


def nearest_passages(passages: np.ndarray, questions: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` passages with the largest cosine to each question, best first, as `best_passages` does.

    passages, questions: vectors, (passages, width) and (questions, width); one of zeros is like no other.
    """
    first, second = (
        vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        for vectors in (questions.astype(np.float64), passages.astype(np.float64))
    )
    return np.argsort(-(first @ second.T), axis=1, kind="stable")[:, :count]


def found_among(best: np.ndarray, right: Sequence[int]) -> dict[str, float]:
    """Return how often the right passage is the first one, and among the first five, as evaluation.json has it."""
    return {f"recall_at_{count}": recall(best, right, count) for count in (1, 5)}


def recall(best: np.ndarray, right: Sequence[int], count: int) -> float:
    """Return the share of questions whose right passage is among their `count` best."""
    return float((best[:, :count] == np.asarray(right)[:, None]).any(axis=1).mean())
