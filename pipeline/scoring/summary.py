"""What a run answered, as counts that add up shard by shard, and how far they are from the version's own test rows."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from pipeline.registry.rivals import PREDICTIONS

WRITTEN = ("answer", "continuation", "translation", "summary")
ABSTAINED = "(abstained)"  # among the labels, for a text that got none
SCORE_BINS = 20  # of width 0.05; similarities have as many from -1 to 1


@dataclass(frozen=True)
class Tally:
    """Counts of a run or a part of it.

    rows: those that were answered. set_aside: those that were not. sums, counts: of each aspect, the sum of its values,
    and how many of them fell into each bin, by the bin's lower bound. Aspects: `characters` of each text, in bins that
    double; `label`, ABSTAINED where it was withheld, and `score` of each row, or of each of its labels or spans;
    `similarity`; `written`, the characters of what was.
    """

    rows: int = 0
    set_aside: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, answered: Iterable[tuple[str, Mapping[str, Any]]], set_aside: int = 0) -> Self:
        """Count texts and the answers to them."""
        rows, sums, counts = 0, dict[str, float](), dict[str, Counter[str]]()
        for text, answer in answered:
            rows += 1
            for aspect, value, lower in _measured(text, answer):
                sums[aspect] = sums.get(aspect, 0.0) + value
                counts.setdefault(aspect, Counter())[lower] += 1
        return cls(rows, set_aside, sums, {aspect: dict(bins) for aspect, bins in counts.items()})

    def __add__(self, other: Self) -> Self:
        aspects = dict.fromkeys([*self.counts, *other.counts])
        return type(self)(
            self.rows + other.rows,
            self.set_aside + other.set_aside,
            {aspect: self.sums.get(aspect, 0) + other.sums.get(aspect, 0) for aspect in aspects},
            {aspect: dict(Counter(self.counts.get(aspect)) + Counter(other.counts.get(aspect))) for aspect in aspects},
        )

    def mean(self, aspect: str) -> float:
        """Return the mean of an aspect's values."""
        return self.sums[aspect] / sum(self.counts[aspect].values())

    def shares(self, aspect: str) -> dict[str, float]:
        """Return the share of each bin of an aspect, or of each label."""
        bins = self.counts[aspect]
        total, order = sum(bins.values()), sorted(bins) if aspect == "label" else sorted(bins, key=float)
        return {name: bins[name] / total for name in order}

    def as_json(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Return what `as_json` gave."""
        return cls(**found)


def _measured(text: str, answer: Mapping[str, Any]) -> Iterator[tuple[str, float, str]]:
    """Yield each aspect of an answer that is measured, with its value and its bin."""
    yield "characters", len(text), _doubling(len(text))
    for said in answer.get("spans", answer.get("labels", [answer])):
        if "label" in said:
            yield "label", 0, ABSTAINED if said["label"] is None else said["label"]
        if "score" in said:
            place = min(math.floor(said["score"] * SCORE_BINS), SCORE_BINS - 1)
            yield "score", said["score"], f"{place / SCORE_BINS:.2f}"
    if "similarity" in answer:
        place = min(math.floor(answer["similarity"] * SCORE_BINS / 2), SCORE_BINS // 2 - 1)
        yield "similarity", answer["similarity"], f"{place * 2 / SCORE_BINS:.1f}"
    for name in WRITTEN:
        if name in answer:
            yield "written", len(answer[name]), _doubling(len(answer[name]))


def _doubling(length: int) -> str:
    """Return the lower bound of a length's bin: 0, 1, 2, 4, 8 and so on."""
    return str(2 ** length.bit_length() // 2)


def of_test_rows(mlflow: ModuleType, run_id: str) -> Tally | None:
    """Return what a version answered to its own test rows, which are logged with its run; None where they are not."""
    import pyarrow.parquet as pq

    try:
        path = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=PREDICTIONS))
    except (mlflow.exceptions.MlflowException, OSError):
        return None
    return Tally.of((row["text"], _as_answer(row)) for row in pq.read_table(path).to_pylist())


def _as_answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a student's answer in predictions.parquet as the registered model would give it."""
    scores = {name.removeprefix("student_score_"): row[name] for name in row if name.startswith("student_score_")}
    match row["student"]:
        case int(index):
            label = list(scores)[index]
            return {"label": None if row.get("student_abstained") else label, "score": scores[label]}
        case float(similarity):
            return {"similarity": similarity}
        case str(text):
            return {"answer": text}
        case [*labels] if scores:
            return {"labels": [{"label": label, "score": scores[label]} for label in labels]}
        case [*spans]:
            return {"spans": spans}
    return {}  # what a row costs a model that goes on with it is no answer


def drift(tally: Tally, reference: Tally | None) -> dict[str, dict[str, float]]:
    """Return for each aspect that both have how far apart they are, and how probable that is by chance alone.

    distance: the total variation distance between the shares of the bins, from 0, the same, to 1, nothing in common.
    p_value: of Pearson's chi-squared test that both are drawn from the same. The reference is what the version answered
    to its test rows, so a mean that a model gets wrong everywhere is no drift.
    """
    from scipy.stats import chi2_contingency

    found = {}
    for aspect in tally.counts if reference else ():
        if reference and aspect in reference.counts:
            here, there = tally.counts[aspect], reference.counts[aspect]
            bins = sorted({*here, *there})
            shares = tally.shares(aspect), reference.shares(aspect)
            distance = sum(abs(shares[0].get(name, 0) - shares[1].get(name, 0)) for name in bins) / 2
            table = [[side.get(name, 0) for name in bins] for side in (here, there)]
            found[aspect] = {"distance": distance, "p_value": float(chi2_contingency(table).pvalue)}
    return found
