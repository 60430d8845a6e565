"""What is kept of a dataset that is checked part by part: a few bytes of each row, and a fair sample of whole ones."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.schema import SPLITS
from pipeline.validation.measures import MEASURES
from pipeline.validation.reading import read_batches

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_ROWS = 10_000  # more of them change an estimate little and cost seconds


class Kept:
    """Of each row its split, label, length, score and a hash of its id; of SAMPLE_ROWS rows all that is measured.

    rows: how many there are, so that each column is one array from the beginning.
    """

    def __init__(self, rows: int) -> None:
        self._kinds: dict[str, dict[str, int]] = {"split": {}, "label": {}}
        self._columns = {"split": np.empty(rows, np.int8), "label": np.empty(rows, np.int8)}
        self._columns |= {"characters": np.empty(rows, np.float32), "score": np.full(rows, np.nan, np.float16)}
        self._hashes = np.empty(rows, np.uint64)
        self._filled = 0
        self._sample: pd.DataFrame | None = None

    def add(self, part: "pd.DataFrame", texts: list[str]) -> None:
        """Keep what is needed of a part and of the texts that its rows are compared by."""
        import pandas as pd

        own = slice(self._filled, self._filled + len(part))
        self._filled = own.stop
        for name, kinds in self._kinds.items():
            codes, found = pd.factorize(part[name])
            places = np.array([*(kinds.setdefault(str(kind), len(kinds)) for kind in found), -1])
            self._widen(name, np.min_scalar_type(-1 - len(kinds)))
            self._columns[name][own] = places[codes]  # -1, the last one, where there is none
        self._columns["characters"][own] = part["characters"].to_numpy(np.float32, na_value=np.nan)
        scores = part["score"].to_numpy(np.float64, na_value=np.nan)
        if np.isfinite(scores).any():
            self._widen("score", scores.dtype)
            self._columns["score"][own] = scores
        self._hashes[own] = pd.util.hash_array(part["id"].to_numpy(object), categorize=False)
        # ids are hashes: the first of them are a fair sample
        if self._sample is not None and len(self._sample) == SAMPLE_ROWS:
            part = part[part["id"] <= self._sample["id"].iloc[-1]]
        sampled = part.sort_values("id", kind="stable").head(SAMPLE_ROWS)
        sampled = sampled.assign(text=[texts[i] for i in sampled.index])
        if self._sample is not None:
            sampled = pd.concat([self._sample, sampled], ignore_index=True)
        self._sample = sampled.sort_values("id", kind="stable", ignore_index=True).head(SAMPLE_ROWS)

    def _widen(self, name: str, needed: np.dtype) -> None:
        """Give a column numbers that hold more, where `needed` is wider than those it has."""
        column = self._columns[name]
        self._columns[name] = column.astype(np.promote_types(column.dtype, needed), copy=False)

    def table(self) -> "pd.DataFrame":
        """Return split, label, characters and score of all rows, in the order of the parts."""
        import pandas as pd

        coded = {name: pd.Categorical.from_codes(self._columns[name], [*kinds]) for name, kinds in self._kinds.items()}
        return pd.DataFrame(self._columns | coded, copy=False)

    def sample(self) -> "pd.DataFrame":
        """Return the rows of the sample as `measure` has them, with their text."""
        assert self._sample is not None  # there is one part at least
        return self._sample

    def repeated_ids(self, rows: Path) -> "pd.DataFrame":
        """Return id and split of the rows whose id may stand twice: those whose hash does; more than any, none is.

        The hashes are kept no longer.
        """
        import pandas as pd

        hashes, self._hashes = self._hashes, np.empty(0, np.uint64)
        hashes.sort()
        twice = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
        found = [pd.DataFrame({name: pd.Series(dtype="str") for name in ("id", "split")})]
        for split in SPLITS if len(twice) else ():
            for batch in read_batches(rows / f"{split}.parquet"):
                ids = batch["id"].cast(MEASURES.field("id").type).to_pandas()
                found.append(pd.DataFrame({"id": ids[np.isin(pd.util.hash_array(ids.to_numpy(object)), twice)]}))
                found[-1]["split"] = split
        return pd.concat(found, ignore_index=True)
