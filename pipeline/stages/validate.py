"""Stage validate: the checks of a dataset; rows that fail them are set aside, or stop the run."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.engine import map_in_order
from pipeline.files import InputError, replacing, write_json, write_text
from pipeline.params import DatasetParams, Params
from pipeline.stages.command import main

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.sources.overlap import HeldOut
    from pipeline.validation.checkpoint import Outcome
    from pipeline.validation.drift import Difference
    from pipeline.validation.label_noise import LabelNoise
    from pipeline.validation.reading import Part

OF_ROWS = ["split", "id"]  # what names a row that fails


def run(
    params: Params, *, dataset: str, rows: Path, held_out: Path, out: Path, quarantine: Path, summary: Path, page: Path
) -> None:
    """Check the splits in `rows`; write those that pass to `out`, the others to `quarantine`, and what was found."""
    from pipeline.validation.gate import describe, rows_to_set_aside
    from pipeline.validation.measures import kept_for_measuring, measure_label_sets, measure_texts
    from pipeline.validation.partition import set_rows_aside
    from pipeline.validation.parts import Kept
    from pipeline.validation.reading import count_rows, joined, read_parts
    from pipeline.validation.report import render_page, summarize
    from pipeline.validation.spans import measure_spans

    if dataset not in params.datasets:
        raise InputError(f"--dataset {dataset}: expected one of {sorted(params.datasets)}")
    section = params.datasets[dataset]
    checks = section.validation
    measured = functools.partial(_measured, kept_for_measuring(rows, held_out), _held_out(rows, held_out, section))
    kept = Kept(count_rows(rows))

    def parts() -> "Iterator[pd.DataFrame]":
        for part, texts in map_in_order(measured, read_parts(rows), engine=params.engine):
            kept.add(part, texts)
            yield part

    of_parts = [_of_rows(section, part) for part in joined(parts())]
    further = {key: measure_texts(rows, key) for key in ("pair", "target") if getattr(section.columns, key) is not None}
    spans = measure_spans(rows) if section.span_labels else None
    sets = measure_label_sets(rows) if section.set_labels else None
    measures, sample = kept.table(), kept.sample()
    noise, drift = _noise_and_drift(sample, section.row_labels, sets)

    repeated = kept.repeated_ids(rows)
    outcomes = _outcomes(section, of_parts, repeated, measures, further, spans, sets, noise, drift)
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


def _bounds(section: DatasetParams) -> dict[str, Any]:
    return section.validation.model_dump() | {
        "labels": section.row_labels,
        "set_labels": section.set_labels,
        "span_labels": section.span_labels,
    }


def _of_rows(section: DatasetParams, part: "pd.DataFrame") -> "list[Outcome]":
    """Return what the suites say of some of a dataset's rows."""
    from pipeline.validation.checkpoint import run_suite

    suites = ["rows"] + ["scores"] * (section.columns.score is not None) + ["labels"] * bool(section.row_labels)
    return [outcome for suite in suites for outcome in run_suite(suite, part, _bounds(section), named_by=OF_ROWS)]


def _outcomes(
    section: DatasetParams,
    of_parts: "list[list[Outcome]]",
    repeated: "pd.DataFrame",
    measures: "pd.DataFrame",
    further: "dict[str, pd.DataFrame]",
    spans: "pd.DataFrame | None",
    sets: "pd.DataFrame | None",
    noise: "LabelNoise | None",
    drift: "dict[str, Difference]",
) -> "list[Outcome]":
    """Return what the suites say of a dataset: of its rows, as `_of_rows` found it, and of what else it has."""
    from dataclasses import replace

    from pipeline.validation.checkpoint import merged, run_suite
    from pipeline.validation.drift import distances
    from pipeline.validation.measures import class_shares

    bounds = _bounds(section)
    (unique,) = run_suite("ids", repeated, bounds, named_by=OF_ROWS)
    of_all, *of_rows = merged(of_parts)  # that there are rows comes first
    outcomes = [of_all, replace(unique, checked=len(measures)), *of_rows]
    for column, texts in further.items():
        outcomes += run_suite("further_texts", texts, bounds | {"of": column}, named_by=OF_ROWS)
    if noise is not None:
        outcomes += run_suite("classes", class_shares(measures, section.row_labels), bounds, named_by=["label"])
        outcomes += run_suite("label_noise", noise.table(), bounds, named_by=["of"])
    if spans is not None:
        outcomes += run_suite("spans", spans, bounds, named_by=OF_ROWS)
    if sets is not None:
        outcomes += run_suite("label_sets", sets, bounds, named_by=OF_ROWS)
        shares = class_shares(sets, section.set_labels, among=len(measures))
        outcomes += run_suite("classes", shares, bounds, named_by=["label"])
    if drift:
        outcomes += run_suite("drift", distances(drift), bounds, named_by=["aspect"])
    return outcomes


def _held_out(rows: Path, held_out: Path, section: DatasetParams) -> "dict[str, HeldOut]":
    """Return for the rows of each split what is kept for measuring, to be compared with."""
    from pipeline.sources.overlap import HeldOut
    from pipeline.validation.measures import read_texts
    from pipeline.validation.reading import held_out_texts

    dev, test = (read_texts(rows / f"{split}.parquet") for split in ("dev", "test"))
    kept = {"train": [*dev, *test, *held_out_texts(held_out, rows)], "dev": test, "test": []}
    return {split: HeldOut(texts, section.decontamination) for split, texts in kept.items()}


def _measured(
    letters: "dict[str, set[bytes]]", held: "dict[str, HeldOut]", part: "Part"
) -> "tuple[pd.DataFrame, list[str]]":
    """Return what is measured of a part's rows, near-duplicates of what is held out among it, and their texts."""
    from pipeline.validation.measures import measure_part

    table, texts = measure_part(letters, part)
    table["near_duplicate"] = held[part[0]].overlapping(texts)
    return table, texts


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
