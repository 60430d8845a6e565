"""What a person and `dvc metrics diff` read about a validation: a stable summary and a page that needs no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from pipeline.params import ValidationParams
from pipeline.schema import SPLITS
from pipeline.templates import templates
from pipeline.validation.checkpoint import Outcome
from pipeline.validation.drift import Difference
from pipeline.validation.label_noise import LabelNoise

if TYPE_CHECKING:
    import pandas as pd

FIGURES = {
    "characters": "Length in characters",
    "pair_characters": "Length of the pair in characters",
    "target_characters": "Length of the target in characters",
    "score": "Score",
}
QUANTILES = {"min": 0.0, "p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}
NAMED = 10
SHOWN_ROWS = 20
SHOWN_CHARACTERS = 200


def summarize(
    outcomes: Sequence[Outcome],
    measures: "pd.DataFrame",
    further: Mapping[str, "pd.DataFrame"],
    labelled: "pd.DataFrame",
    left: dict[str, int],
    params: ValidationParams,
    noise: LabelNoise | None,
    drift: Mapping[str, Difference],
) -> dict[str, Any]:
    """Return the summary of a validation that let the dataset through: equal input gives an equal value.

    `further` holds what `measure_texts` returned for pairs and targets, where there are such. `labelled` holds what
    carries labels, the rows themselves, each of their labels or their spans: split, label.
    splits: for each its rows, rows left, label shares and quantiles of the length in characters, and of the lengths of
    pairs and targets and of the scores where there are such. checks: for each the expectation, what was expected, rows
    checked, rows failing, the first of them, whether it held. label_noise: the share of labels that look wrong and the
    rows it rests on, null for a dataset without labels. drift: for each aspect how far dev and test are from train.
    """
    rows = len(measures)
    aside = rows - sum(left.values())
    return {
        "policy": params.policy,
        "rows": rows,
        "quarantined": aside,
        "quarantined_share": aside / rows,
        "max_quarantined_share": params.max_quarantined_share,
        "splits": {split: _profile(split, measures, further, labelled, left[split]) for split in SPLITS},
        "checks": {outcome.check: _check(outcome) for outcome in outcomes},
        "label_noise": {"rows": noise.rows, "share": noise.share} if noise else None,
        "drift": {aspect: _rounded(found) for aspect, found in drift.items()},
    }


def _profile(
    split: str, measures: "pd.DataFrame", further: Mapping[str, "pd.DataFrame"], labelled: "pd.DataFrame", left: int
) -> dict[str, Any]:
    own = measures["split"] == split  # a column at a time, as there may be millions of rows
    labels = labelled["label"][labelled["split"] == split].value_counts()
    profile = {
        "rows": int(own.sum()),
        "rows_left": left,
        "label_shares": {str(label): count / int(labels.sum()) for label, count in sorted(labels.items()) if count},
        "characters": _quantiles(measures["characters"][own], int),
    }
    for column, texts in further.items():
        profile[f"{column}_characters"] = _quantiles(texts["characters"][texts["split"] == split], int)
    if measures["score"].notna().any():
        profile["score"] = _quantiles(measures["score"][own], float)
    return profile


def _quantiles(values: "pd.Series[float]", kind: type[int] | type[float]) -> dict[str, float]:
    values = values.dropna()
    found = values.quantile(list(QUANTILES.values()), interpolation="lower") if len(values) else ()
    return {name: kind(value) for name, value in zip(QUANTILES, found, strict=False)}


def _rounded(found: Difference) -> dict[str, float]:
    # the last digits of a logarithm are the processor's own
    return {"distance": round(found.distance, 4), "p_value": round(found.p_value, 6)}


def _check(outcome: Outcome) -> dict[str, Any]:
    return {
        "scope": outcome.scope,
        "expectation": outcome.expectation,
        "expected": outcome.expected,
        "checked": outcome.checked,
        "failing": len(outcome.failures),
        "first_failing": [" ".join(failure.name.values()) for failure in outcome.failures[:NAMED]],
        "success": outcome.success,
    }


def render_page(
    dataset: str, summary: dict[str, Any], quarantine: Path, noise: LabelNoise | None, sample: "pd.DataFrame"
) -> str:
    """Return the page of a validation as HTML that stands alone; rows are quoted with every character escaped.

    `sample` holds the rows that `noise` was estimated on: id, split, text, label.
    """
    environment = templates(Path(__file__).parent)
    figures = {key: title for key, title in FIGURES.items() if key in summary["splits"][SPLITS[0]]}
    return environment.get_template("page.html").render(
        dataset=dataset,
        summary=summary,
        labels=sorted({label for split in summary["splits"].values() for label in split["label_shares"]}),
        figures=figures,
        others=[key for key in ("pair", "target", "score") if key in figures or f"{key}_characters" in figures],
        quantiles=list(QUANTILES),
        rows=_first_rows(quarantine),
        suspects=_suspects(noise, sample),
    )


def _suspects(noise: LabelNoise | None, sample: "pd.DataFrame") -> list[dict[str, Any]]:
    return [
        {**sample.iloc[suspect.row], "text": _cut(sample["text"].iloc[suspect.row])} | suspect._asdict()
        for suspect in (noise.suspects if noise else ())
    ]


def _first_rows(quarantine: Path) -> list[dict[str, str]]:
    with pq.ParquetFile(quarantine) as file:
        batch = next(file.iter_batches(batch_size=SHOWN_ROWS), None)
    rows = batch.to_pylist() if batch is not None else []
    return [
        row | {key: _cut(row[key] or "") for key in ("text", "pair", "target")} | {"label": _labels(row)}
        for row in rows
    ]


def _labels(row: dict[str, Any]) -> str:
    return row["label"] or ", ".join([*(row["labels"] or ()), *(span["label"] for span in row["spans"] or ())])


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
