"""Which words of a text mattered for an answer: how much surer the model is with a word than without it.

After Li, Monroe & Jurafsky 2016, "Understanding Neural Networks through Representation Erasure". They erase a word's
vector and compare logarithms; here the word is left out and probabilities are compared. What two words do together is
not seen.
"""

from typing import Any

from pipeline.words import words

Row = dict[str, str]
Word = tuple[int, int]  # where it starts and ends, in characters


def rows_without(row: Row, most: int) -> tuple[list[Word], list[Row]]:
    """Return the first `most` words of a row's text, and for each of them the row without it.

    A text of one word has none: without it nothing is left to read.
    """
    text = row["text"]
    borders = [(start, end) for start, end in words(text) if (text[:start] + text[end:]).strip()][:most]
    return borders, [row | {"text": text[:start] + text[end:]} for start, end in borders]


def weight(answer: dict[str, Any], without: dict[str, Any]) -> float | None:
    """Return by how much a word raised what the model is sure of; None where an answer has no single such number.

    That is the answer's probability, or the similarity of two texts. Where the answer becomes another one without the
    word, its own probability is at most that of the other one and what that one leaves: the weight is then a lower
    bound, exact for two labels.
    """
    if "similarity" in answer:
        return float(answer["similarity"] - without["similarity"])
    if "score" not in answer:
        return None
    label = "likeliest" if "likeliest" in answer else "label"  # what the score is of, given or withheld
    kept = all(answer.get(key) == without.get(key) for key in (label, "answer"))
    score = without["score"] if kept else min(without["score"], 1 - without["score"])
    return float(answer["score"] - score)
