"""What params.yaml says of a dataset whose rows have labelled spans, beside its labels."""

from typing import Any

SPAN_DATASET: dict[str, Any] = {
    "path": "data/raw/names",
    "source": {"kind": "file", "format": "conll", "header": None, "files": None, "origin": None},
    "columns": {"text": "text", "label": None, "source": None, "spans": "spans"},
    "only_sources": None,
}
