"""The place in a text that answers a question. torch, transformers and numpy alone."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.tasks.labelling import LabellingTask
from pipeline.tasks.labelling_loss import Distributions, cross_entropy
from pipeline.training.batches import Rows
from pipeline.words import ENDS, MAX_ANSWER_WORDS, STARTS, next_window, words

PADDING = -1e9  # a logit: its probability is exactly 0 at any temperature


class Place(NamedTuple):
    """An answer: its first and its last word, and the log-probability of both."""

    first: int
    last: int
    score: float


class QuestionAnswering(LabellingTask):
    """Where an answer starts and where it ends, a softmax over the words of a window each (Devlin et al. 2019, 4.2).

    The targets of a token row are [CLS], which stands for no answer in this window, and the first token of each word.
    """

    best = ("exact_match", "max")
    head = "question_answering"

    @property
    def classes(self) -> list[str]:
        """None: what a logit stands for is a word of its window."""
        return []

    @property
    def names(self) -> dict[str, Any]:
        """What a model's configuration says of its two logits."""
        return {"id2label": {0: "start", 1: "end"}, "label2id": {"start": 0, "end": 1}}

    def distributions(self, logits: Tensor, labels: Tensor, rows: Tensor) -> Distributions:
        """Return two choices for each row, start and end, each among its targets; logits: (targets, 2).

        Targets stand in the order of their rows, of which each has at least one.
        """
        counts = torch.bincount(rows)
        place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
        shape = (len(counts), int(counts.max()) if len(counts) else 0)
        real = torch.zeros(shape, dtype=torch.bool, device=rows.device)
        real[rows, place] = True
        padded = logits.new_full((*shape, 2), PADDING).index_put((rows, place), logits)
        right = rows.new_full((len(counts), 2), -1)
        for side, mark in enumerate((STARTS, ENDS)):
            marked = (labels >= 0) & (labels & mark > 0)
            right[rows[marked], side] = place[marked]
        return Distributions(
            padded.transpose(1, 2).flatten(0, 1),
            right.flatten(),
            torch.arange(len(counts), device=rows.device).repeat_interleave(2),
            real.repeat_interleave(2, dim=0),
        )

    def answers(self, logits: np.ndarray, tokens: Rows, texts: Sequence[str]) -> list[str]:
        """Return the likeliest span of each text, as it stands there; logits: (targets, 2) of all windows."""
        found = []
        for text, place in zip(texts, likeliest_places(logits, tokens), strict=True):
            borders = words(text)
            found.append(text[borders[place.first][0] : borders[place.last][1]] if place else "")
        return found

    def score(self, logits: np.ndarray, tokens: Rows) -> dict[str, float]:
        """Return the share of questions whose start and end are both right, and the mean cross-entropy, "loss"."""
        found, meant = likeliest_places(logits, tokens), _labelled_places(tokens)
        right = [said is not None and said[:2] == place for said, place in zip(found, meant, strict=True)]
        choices = self.choices(logits, tokens)
        return {
            "exact_match": float(np.mean(right)),
            "loss": cross_entropy(choices.logits.numpy(), choices.labels.numpy()),
        }


def likeliest_places(logits: np.ndarray, tokens: Rows) -> list[Place | None]:
    """Return the likeliest span of words of each row of the table, None where it has no words; logits: (targets, 2).

    It is the one whose start and end have the largest sum of log-probabilities in a window that it stands in, among
    those of at most MAX_ANSWER_WORDS words.
    """
    best: list[Place | None] = [None] * _texts(tokens)
    for owner, word, targets in _windows(tokens):
        if targets.stop - targets.start > 1:
            found = _likeliest_place(logits[targets].astype(np.float64))
            present = best[owner]
            if present is None or found.score > present.score:
                best[owner] = Place(word + found.first, word + found.last, found.score)
    return best


def _likeliest_place(logits: np.ndarray) -> Place:
    """Return the likeliest span of one window, in its words; logits: (1 + words, 2), those of [CLS] first."""
    shifted = logits - logits.max(axis=0)
    start, end = (shifted - np.log(np.exp(shifted).sum(axis=0)))[1:].T
    scores = start[:, None] + end[None, :]
    length = np.arange(len(end))[None, :] - np.arange(len(start))[:, None]
    scores[(length < 0) | (length >= MAX_ANSWER_WORDS)] = -np.inf
    first, last = np.unravel_index(scores.argmax(), scores.shape)
    return Place(int(first), int(last), float(scores[first, last]))


def _labelled_places(tokens: Rows) -> list[tuple[int, int] | None]:
    """Return the first and last word of each row's answer, None where no window holds it whole."""
    places: list[tuple[int, int] | None] = [None] * _texts(tokens)
    for owner, word, targets in _windows(tokens):
        labels = np.asarray(tokens.labels[targets])
        if not labels[0]:
            first, last = (int(np.argmax(labels & mark > 0)) - 1 for mark in (STARTS, ENDS))
            places[owner] = word + first, word + last
    return places


def _texts(tokens: Rows) -> int:
    return int(tokens.owners[-1]) + 1 if len(tokens) else 0


def _windows(tokens: Rows) -> list[tuple[int, int, slice]]:
    """Return of each token row the row of the table, the first word that it has, and its targets."""
    found: list[tuple[int, int, slice]] = []
    for owner, (start, stop) in zip(tokens.owners.tolist(), itertools.pairwise(tokens.targets.tolist()), strict=True):
        word = 0
        if found and found[-1][0] == owner:
            _, before, targets = found[-1]
            word = next_window(before, targets.stop - targets.start - 1)
        found.append((owner, word, slice(start, stop)))
    return found
