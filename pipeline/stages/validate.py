"""Stage validate: the checks of a dataset; rows that fail them are set aside, or stop the run."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.files import InputError, replacing, write_json, write_text
from pipeline.params import DatasetParams, Params
from pipeline.stages.command import main

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from pipeline.validation.checkpoint import Outcome
    from pipeline.validation.drift import Difference
    from pipeline.validation.label_noise import LabelNoise

SAMPLE_ROWS = 10_000  # more of them change an estimate little and cost seconds


def run(
    params: Params, *, dataset: str, rows: Path, held_out: Path, out: Path, quarantine: Path, summary: Path, page: Path
) -> None:
    """Check the splits in `rows`; write those that pass to `out`, the others to `quarantine`, and what was found."""
    from pipeline.validation.gate import describe, rows_to_set_aside
    from pipeline.validation.measures import measure, measure_label_sets, measure_texts, read_texts
    from pipeline.validation.partition import set_rows_aside
    from pipeline.validation.report import render_page, summarize
    from pipeline.validation.spans import measure_spans

    if dataset not in params.datasets:
        raise InputError(f"--dataset {dataset}: expected one of {sorted(params.datasets)}")
    section = params.datasets[dataset]
    checks = section.validation
    texts, measures = read_texts(rows), measure(rows, held_out)
    further = {key: measure_texts(rows, key) for key in ("pair", "target") if getattr(section.columns, key) is not None}
    spans = measure_spans(rows) if section.span_labels else None
    sets = measure_label_sets(rows) if section.set_labels else None
    measures["near_duplicate"] = _near_duplicates(texts, rows, held_out, section)
    sample = measures.assign(text=list(itertools.chain(*texts.values())))
    sample = sample.sort_values("id", kind="stable").head(SAMPLE_ROWS)  # ids are hashes: this is a fair one
    noise, drift = _noise_and_drift(sample, section.row_labels, sets)

    outcomes = _outcomes(section, measures, further, spans, sets, noise, drift)
    reasons = rows_to_set_aside(outcomes, checks, rows)
    for outcome in outcomes:
        if outcome.scope == "flag" and not outcome.success:
            print(f"validate@{dataset}  flagged: {describe(outcome, rows)}", flush=True)

    with replacing(out) as passed, replacing(quarantine) as aside:
        left = set_rows_aside(rows, reasons, passed, aside)
        labelled = next((table for table in (spans, sets) if table is not None), measures)
        found = summarize(outcomes, measures, further, labelled, left, checks, noise, drift)
        write_text(page, render_page(dataset, found, aside, noise, sample))
        write_json(summary, found)


def _outcomes(
    section: DatasetParams,
    measures: "pd.DataFrame",
    further: "dict[str, pd.DataFrame]",
    spans: "pd.DataFrame | None",
    sets: "pd.DataFrame | None",
    noise: "LabelNoise | None",
    drift: "dict[str, Difference]",
) -> "list[Outcome]":
    """Return what the suites say of a dataset: of its rows, and of what else it has."""
    from pipeline.validation.checkpoint import run_suite
    from pipeline.validation.drift import distances
    from pipeline.validation.measures import class_shares

    labels = section.row_labels
    bounds = section.validation.model_dump() | {
        "labels": labels,
        "set_labels": section.set_labels,
        "span_labels": section.span_labels,
    }
    of_rows = ["split", "id"]
    outcomes = run_suite("rows", measures, bounds, named_by=of_rows)
    for column, texts in further.items():
        outcomes += run_suite("further_texts", texts, bounds | {"of": column}, named_by=of_rows)
    if section.columns.score is not None:
        outcomes += run_suite("scores", measures, bounds, named_by=of_rows)
    if noise is not None:
        outcomes += run_suite("labels", measures, bounds, named_by=of_rows)
        outcomes += run_suite("classes", class_shares(measures, labels), bounds, named_by=["label"])
        outcomes += run_suite("label_noise", noise.table(), bounds, named_by=["of"])
    if spans is not None:
        outcomes += run_suite("spans", spans, bounds, named_by=of_rows)
    if sets is not None:
        outcomes += run_suite("label_sets", sets, bounds, named_by=of_rows)
        shares = class_shares(sets, section.set_labels, among=len(measures))
        outcomes += run_suite("classes", shares, bounds, named_by=["label"])
    if drift:
        outcomes += run_suite("drift", distances(drift), bounds, named_by=["aspect"])
    return outcomes


def _near_duplicates(texts: dict[str, list[str]], rows: Path, held_out: Path, section: DatasetParams) -> "np.ndarray":
    """Return which rows are near-duplicates of what is kept for measuring; bool (rows,), in the order of `measure`."""
    import numpy as np

    from pipeline.sources.overlap import overlapping
    from pipeline.validation.measures import held_out_texts

    kept = {
        "train": [*texts["dev"], *texts["test"], *held_out_texts(held_out, rows)],
        "dev": texts["test"],
        "test": [],
    }
    return np.concatenate([overlapping(texts[split], kept[split], section.decontamination) for split in texts])


def _noise_and_drift(
    sample: "pd.DataFrame", labels: list[str], sets: "pd.DataFrame | None"
) -> tuple["LabelNoise | None", dict[str, "Difference"]]:
    """Return the label noise of a sample, and how far dev and test are from train.

    The noise is None where rows have no label each. `sets` holds the labels of rows that may have several.
    """
    import numpy as np
    from scipy.sparse import hstack

    from pipeline.sources.similarity import indicator_matrix, shingles
    from pipeline.validation import drift, label_noise

    texts = sample["text"].tolist()
    words = indicator_matrix(shingles(texts, 1))
    given = sample["label"].fillna("").to_numpy(str) if labels else None
    lengths, kept = np.array([len(text) for text in texts]), (sample["split"] != "train").to_numpy()
    differences = drift.compare(words, lengths, given, kept)
    if differences and sets is not None:
        own = sets[sets["id"].isin(sample["id"])]
        names, of_kept = own["label"].fillna("").to_numpy(str), (own["split"] != "train").to_numpy()
        if 0 < of_kept.sum() < len(own):
            differences["labels"] = drift.of_labels(names, of_kept)
    if given is None:
        return None, differences
    pairs = indicator_matrix(shingles(texts, 2))
    return label_noise.estimate(hstack([words, pairs], format="csr"), given), differences


if __name__ == "__main__":
    main(run)
