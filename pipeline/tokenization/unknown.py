"""What a tokenizer cannot write: a model would learn to write the unknown token, which decoding leaves out."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pipeline.files import InputError
from pipeline.tokenization.ragged import TokenRows

MAX_SHARE = 0.001  # of the tokens to be written


def check_written(path: Path, rows: TokenRows, unknown_id: int) -> None:
    """Raise InputError where over MAX_SHARE of the tokens to be written for the rows of the table `path` are unknown.

    The first row that has one is named; fewer of them are said in a line. rows: as `encode_written` makes them.
    """
    unknown = np.asarray(rows.labels) == unknown_id
    if not unknown.any():
        return
    (first, *_) = np.repeat(np.arange(len(rows)), np.diff(rows.targets))[unknown]
    row = pq.read_table(path, columns=["id", "target"]).slice(int(first), 1).to_pylist()[0]
    found = (
        f"{path}: row {row['id']}: the tokenizer cannot write all of the target {row['target'][:80]!r}; "
        f"{int(unknown.sum()):,} of the split's {len(unknown):,} tokens to be written are unknown"
    )
    if unknown.mean() > MAX_SHARE:
        raise InputError(f"{found}, expected at most {MAX_SHARE:.1%} (tokenizer.kind bpe can write any text)")
    print(found, flush=True)
