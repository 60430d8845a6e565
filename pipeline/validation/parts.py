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
    """Of each row its split, label, length, score and a hash of its id; of SAMPLE_ROWS rows all that is measured."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, int]] = {"split": {}, "label": {}}
        self._columns: dict[str, list[np.ndarray]] = {name: [] for name in ("split", "label", "characters", "score")}
        self._hashes: list[np.ndarray] = []
        self._sample: pd.DataFrame | None = None

    def add(self, part: "pd.DataFrame", texts: list[str]) -> None:
        """Keep what is needed of a part and of the texts that its rows are compared by."""
        import pandas as pd

        for name, kinds in self._kinds.items():
            codes, found = pd.factorize(part[name])
            places = np.array([*(kinds.setdefault(str(kind), len(kinds)) for kind in found), -1])
            size = np.min_scalar_type(-1 - len(kinds))  # a byte a row for up to 127 kinds
            self._columns[name].append(places.astype(size)[codes])  # -1, the last one, where there is none
        self._columns["characters"].append(part["characters"].to_numpy(np.float32, na_value=np.nan))
        scores = part["score"].to_numpy(np.float64, na_value=np.nan)
        self._columns["score"].append(scores if np.isfinite(scores).any() else np.full(len(part), np.nan, np.float16))
        self._hashes.append(pd.util.hash_array(part["id"].to_numpy(object), categorize=False))
        # ids are hashes: the first of them are a fair sample
        if self._sample is not None and len(self._sample) == SAMPLE_ROWS:
            part = part[part["id"] <= self._sample["id"].iloc[-1]]
        sampled = part.sort_values("id", kind="stable").head(SAMPLE_ROWS)
        sampled = sampled.assign(text=[texts[i] for i in sampled.index])
        if self._sample is not None:
            sampled = pd.concat([self._sample, sampled], ignore_index=True)
        self._sample = sampled.sort_values("id", kind="stable", ignore_index=True).head(SAMPLE_ROWS)

    def table(self) -> "pd.DataFrame":
        """Return split, label, characters and score of all rows, in the order of the parts; they are kept no longer."""
        import pandas as pd

        found = {name: np.concatenate(self._columns.pop(name)) for name in [*self._columns]}
        coded = {name: pd.Categorical.from_codes(found[name], [*kinds]) for name, kinds in self._kinds.items()}
        return pd.DataFrame(found | coded, copy=False)

    def sample(self) -> "pd.DataFrame":
        """Return the rows of the sample as `measure` has them, with their text."""
        assert self._sample is not None  # there is one part at least
        return self._sample

    def repeated_ids(self, rows: Path) -> "pd.DataFrame":
        """Return id and split of the rows whose id may stand twice: those whose hash does; more than any, none is.

        The hashes are kept no longer.
        """
        import pandas as pd

        hashes = np.concatenate(self._hashes)
        self._hashes.clear()
        hashes.sort()
        twice = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
        found = [pd.DataFrame({name: pd.Series(dtype="str") for name in ("id", "split")})]
        for split in SPLITS if len(twice) else ():
            for batch in read_batches(rows / f"{split}.parquet"):
                ids = batch["id"].cast(MEASURES.field("id").type).to_pandas()
                found.append(pd.DataFrame({"id": ids[np.isin(pd.util.hash_array(ids.to_numpy(object)), twice)]}))
                found[-1]["split"] = split
        return pd.concat(found, ignore_index=True)
