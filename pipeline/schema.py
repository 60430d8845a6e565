"""The canonical table, which `ingest` writes and every later stage reads: its splits, its columns, what they mean."""

import pyarrow as pa

SPLITS = ("train", "dev", "test")  # each more held out than the one before
COUNTER_EXAMPLES = "counter_examples"  # what rows are called that are train rows whatever their hash
SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])
FURTHER = pa.struct([("column", pa.string()), ("value", pa.string())])
CANONICAL = pa.schema(
    {
        "id": pa.string(),
        "text": pa.string(),
        "pair": pa.string(),
        "label": pa.string(),
        "labels": pa.list_(pa.field("element", pa.string())),  # Parquet's name for what a list holds
        "spans": pa.list_(pa.field("element", SPAN)),
        "target": pa.string(),
        "score": pa.float64(),
        "source": pa.string(),
        "metadata": pa.list_(pa.field("element", FURTHER)),
    }
)


def compared(text: str, pair: str | None) -> str:
    """Return the one text by which rows are compared with each other: that of a row, and its pair below it."""
    return text if pair is None else f"{text}\n{pair}"
