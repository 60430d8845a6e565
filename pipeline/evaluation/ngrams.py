"""What a model that goes on with texts has to beat: characters counted in their contexts.

Source: Witten & Bell 1991, method C, interpolated as in Chen & Goodman 1999, section 2.4.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ORDERS = range(1, 7)  # characters that are counted together; more were never better on dev
END, START = 0x110000, 0x110001  # behind all code points of Unicode; the beginning is never predicted
SYMBOLS = 0x110001  # what may come: any character, or the end


class Written(NamedTuple):
    """Texts, and what is to be written after each; None where it is the text itself that is predicted."""

    texts: Sequence[str]
    completions: Sequence[str | None]


def character_ngram(train: Written, dev: Written, test: Written) -> np.ndarray:
    """Return the nats of each test row, float64 (rows,), under counts of train; dev chooses how many characters."""
    on_dev, on_test = ngram_nats(train, dev, max(ORDERS)), ngram_nats(train, test, max(ORDERS))
    best = min(ORDERS, key=lambda order: float(on_dev[order].sum()))
    return np.asarray(on_test[best])


def character_unigram(train: Written, test: Written) -> np.ndarray:
    """Return the nats of each test row, float64 (rows,), when every character comes as often as it does in train."""
    return np.asarray(ngram_nats(train, test, 1)[1])


def ngram_nats(train: Written, rows: Written, orders: int) -> dict[int, np.ndarray]:
    """Return by order, from 1 to `orders`, the nats of what is predicted in each row, its end too; float64 (rows,).

    With N(h) the times that context h was seen, T(h) the different symbols seen after it and h' the context without its
    first symbol, p(c | h) = (N(hc) + T(h) p(c | h')) / (N(h) + T(h)), down to p = 1 / SYMBOLS: any text has a
    probability, and those of all symbols after a context add up to 1.
    """
    known, _, _ = _stream(train, orders)
    asked, predicted, owners = _stream(rows, orders)
    symbols = np.concatenate([known, asked])
    counted = (symbols != START) & (np.arange(len(symbols)) < len(known))
    contexts = np.zeros(len(symbols), dtype=np.int64)
    likely = np.full(len(symbols), 1 / SYMBOLS)
    nats = {}
    for order in range(1, orders + 1):
        if order > 1:  # contexts grow by one symbol to the left; each row begins with enough of START
            contexts = _ranks(contexts, np.roll(symbols, order - 1))
        grams = _ranks(contexts, symbols)
        seen = np.bincount(grams[counted], minlength=int(grams.max()) + 1)
        times = np.bincount(contexts[counted], minlength=int(contexts.max()) + 1)
        _, first = np.unique(grams[counted], return_index=True)
        kinds = np.bincount(contexts[counted][first], minlength=len(times))
        total = (times + kinds)[contexts]
        likely = np.where(total, (seen[grams] + kinds[contexts] * likely) / np.maximum(total, 1), likely)
        costs = -np.log(likely[len(known) :][predicted])
        nats[order] = np.bincount(owners[predicted], costs, minlength=len(rows.texts))
    return nats


def _stream(rows: Written, orders: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the symbols of all rows after one another, int64, which of them are predicted, and the row of each."""
    start, parts, predicted = [START] * orders, [], []
    for text, completion in zip(rows.texts, rows.completions, strict=True):
        before = [*start, *map(ord, text), END] if completion is not None else start
        written = [*map(ord, text if completion is None else completion), END]
        parts.append(np.array([*before, *written], dtype=np.int64))
        predicted.append(np.arange(len(parts[-1])) >= len(before))
    owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.concatenate(parts), np.concatenate(predicted), owners


def _ranks(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return a number from 0 on for each pair, equal for equal pairs."""
    return np.unique(first * (START + 1) + second, return_inverse=True)[1]
