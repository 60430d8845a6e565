"""What is measured of each labelled span: whether it is a piece of its row's text, and apart from the others."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.schema import SPLITS
from pipeline.validation.reading import read_batches

if TYPE_CHECKING:
    import pandas as pd


def measure_spans(rows: Path) -> "pd.DataFrame":
    """Return one record for each span in `rows`/{train,dev,test}.parquet: id, split, label, inside, apart.

    inside: it has characters, all of them in the text. apart: it begins where the span before has ended, or later. A
    row whose spans are null is one record with a null label, neither inside nor apart.
    """
    import pandas as pd

    records = chain.from_iterable(
        _records(split, row)
        for split in SPLITS
        for batch in read_batches(rows / f"{split}.parquet")
        for row in batch.to_pylist()
    )
    return pd.DataFrame(records, columns=["id", "split", "label", "inside", "apart"])


def _records(split: str, row: dict[str, Any]) -> list[tuple[str, str, str | None, bool, bool]]:
    if row["spans"] is None:
        return [(row["id"], split, None, False, False)]
    records, free_from = [], 0
    for span in row["spans"]:
        start, end = span["start"], span["end"]
        inside = 0 <= start < end <= len(row["text"] or "")
        records.append((row["id"], split, span["label"], inside, start >= free_from))
        free_from = max(free_from, end)
    return records
