"""Between which values the inputs of products lie, found on rows that nothing is trained on or measured by."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.architectures.exported import open_session
from pipeline.architectures.sentence_similarity import texts_apart
from pipeline.exporting.arithmetic import Float32
from pipeline.exporting.encoder import Encoder, write_graph
from pipeline.training.batches import Rows, collate_rows, row_at

BATCH_SIZE = 32


def input_ranges(encoder: Encoder, rows: Rows, count: int, *, pairs: bool) -> dict[str, tuple[float, float]]:
    """Return by name the least and the largest value of each product's input, over `count` rows evenly chosen.

    Padding does not count. One thread computes, so that the number of cores changes nothing.
    """
    arithmetic = Float32()
    write_graph(encoder, arithmetic, pairs=pairs)
    observed = dict(arithmetic.observed)
    graph = write_graph(encoder, Float32(), pairs=pairs, observed=sorted(set(observed.values())))
    session = open_session(graph.SerializeToString(), 1)
    ranges: dict[str, tuple[float, float]] = {}
    for inputs in _batches(encoder, rows, count):
        known = [value.name for value in session.get_inputs()]
        read = {name: inputs.get(name, np.zeros_like(inputs["input_ids"])) for name in known}
        outputs = dict(zip((value.name for value in session.get_outputs()), session.run(None, read), strict=True))
        real = inputs["attention_mask"].astype(bool)
        for name, tensor in observed.items():
            values = outputs[tensor]
            if values.shape[:-1] == real.shape:
                values = values[real]
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
    return ranges


def _batches(encoder: Encoder, rows: Rows, count: int) -> Iterator[dict[str, Any]]:
    padding = encoder.config["pad_token_id"]
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))
    order = chosen[np.argsort(rows.lengths[chosen], kind="stable")].tolist()
    for start in range(0, len(order), BATCH_SIZE):
        inputs = collate_rows([row_at(rows, row) for row in order[start : start + BATCH_SIZE]], padding)
        if encoder.compares:
            ids, mask, second = (inputs[name] for name in ("input_ids", "attention_mask", "token_type_ids"))
            ids, mask = texts_apart(ids, mask, second, padding)
            inputs = {"input_ids": ids, "attention_mask": mask}
        yield {name: value.numpy() for name, value in inputs.items()}
