"""Stage validate: the checks of a dataset; rows that fail them are set aside, or stop the run."""

from pathlib import Path

from pipeline.files import InputError, replacing, write_json, write_text
from pipeline.params import Params
from pipeline.stages.command import main


def run(
    params: Params, *, dataset: str, rows: Path, held_out: Path, out: Path, quarantine: Path, summary: Path, page: Path
) -> None:
    """Check the splits in `rows`; write those that pass to `out`, the others to `quarantine`, and what was found."""
    from pipeline.validation.checkpoint import run_suite
    from pipeline.validation.gate import rows_to_set_aside
    from pipeline.validation.measures import class_shares, measure
    from pipeline.validation.partition import set_rows_aside
    from pipeline.validation.report import render_page, summarize

    if dataset not in params.datasets:
        raise InputError(f"--dataset {dataset}: expected one of {sorted(params.datasets)}")
    checks, names = params.datasets[dataset].validation, params.datasets[dataset].labels
    measures = measure(rows, held_out)

    outcomes = run_suite("rows", measures, checks.model_dump(), named_by=["split", "id"])
    if names is not None:
        labels = sorted(set(names.values()))
        bounds = checks.model_dump() | {"labels": labels}
        outcomes += run_suite("labels", measures, bounds, named_by=["split", "id"])
        outcomes += run_suite("classes", class_shares(measures, labels), bounds, named_by=["label"])
    reasons = rows_to_set_aside(outcomes, checks, rows)

    with replacing(out) as passed, replacing(quarantine) as aside:
        left = set_rows_aside(rows, reasons, passed, aside)
        found = summarize(outcomes, measures, left, checks)
        write_text(page, render_page(dataset, found, aside))
        write_json(summary, found)


if __name__ == "__main__":
    main(run)
