"""Labelled spans in a text: entities, slots, event triggers. torch, transformers and numpy alone."""

from collections.abc import Sequence

import numpy as np

from pipeline.tasks.labelling import LabellingTask
from pipeline.tasks.labelling_loss import cross_entropy
from pipeline.training.batches import Rows
from pipeline.words import Span, spans_of, tag_names, words


class TokenClassification(LabellingTask):
    """A tag for the first token of every word (Devlin et al. 2019, section 5.3), in the IOB2 scheme."""

    best = ("span_f1", "max")
    head = "token_classification"

    @property
    def classes(self) -> list[str]:
        """What the logits stand for: O, then B-label and I-label of each label."""
        return tag_names(self.labels)

    def answers(self, logits: np.ndarray, tokens: Rows, texts: Sequence[str]) -> list[list[Span]]:
        """Return the spans of each text, in characters, that the likeliest tags of its words spell.

        logits: (targets, classes); words that have no target are in no span.
        """
        tags, targets = logits.argmax(axis=1).tolist(), tokens.targets
        return [
            spans_of(words(text), tags[first:last], self.labels)
            for text, first, last in zip(texts, targets[:-1].tolist(), targets[1:].tolist(), strict=True)
        ]

    def score(self, logits: np.ndarray, tokens: Rows) -> dict[str, float]:
        """Return the F1 of spans, micro over all rows, and the mean cross-entropy, "loss"; logits: (targets, classes).

        A span counts as found where its borders and its label are right (Tjong Kim Sang & De Meulder 2003, section 4).
        """
        predicted, found, named, given = logits.argmax(axis=1), 0, 0, 0
        for first, last in zip(tokens.targets[:-1], tokens.targets[1:], strict=True):
            places = [(place, place + 1) for place in range(last - first)]
            said, meant = (
                set(spans_of(places, tags[first:last].tolist(), self.labels)) for tags in (predicted, tokens.labels)
            )
            found, named, given = found + len(said & meant), named + len(said), given + len(meant)
        return {
            "span_f1": 2 * found / (named + given) if named + given else 1.0,
            "loss": cross_entropy(logits, tokens.labels),
        }
