"""ingest: a source becomes one canonical table per split, and the list of what others must not train on."""

from pathlib import Path
from typing import Any

from pipeline.files import InputError, replacing, write_json
from pipeline.params import Params
from pipeline.sources.canonical import Removed, Row, canonical_rows, name_of, write_rows
from pipeline.sources.held_out import read_held_out, write_held_out
from pipeline.sources.reading import read_counter_examples, read_source
from pipeline.sources.splitting import check_splits, split_rows
from pipeline.stages.command import main


def run(params: Params, *, dataset: str, path: Path, held_out: Path, out: Path, held_out_out: Path) -> None:
    """Read, clean, split and decontaminate one dataset.

    Writes train.parquet, dev.parquet, test.parquet and report.json under `out`, and to `held_out_out` the dev and test
    texts together with those of `held_out`.
    """
    if dataset not in params.datasets:
        raise InputError(f"--dataset {dataset}: expected one of {sorted(params.datasets)}")
    section = params.datasets[dataset]
    if section.only_sources is not None and section.columns.source is None:
        raise InputError(f"datasets.{dataset}.only_sources: given, but columns.source is null")
    held_out_texts = read_held_out(held_out)
    raw = read_source(section.source, path, section.columns)
    if section.counter_examples is not None:
        raw.append(read_counter_examples(section.counter_examples, section.columns))

    removed = Removed()
    rows = canonical_rows(raw, dataset, section, removed)
    splits = split_rows(rows, list(held_out_texts.values()), section, removed, params.engine)
    check_splits(name_of(raw), splits, section)

    with replacing(out) as draft:
        draft.mkdir()
        for name, members in splits.items():
            write_rows(draft / f"{name}.parquet", members)
        write_json(draft / "report.json", _report(sum(len(part.texts) for part in raw), splits, removed))
    write_held_out(held_out_out, held_out_texts, splits["dev"] + splits["test"])


def _report(rows_read: int, splits: dict[str, list[Row]], removed: Removed) -> dict[str, Any]:
    counts = {name: len(rows) for name, rows in splits.items()}
    return {"rows_read": rows_read, "rows_kept": sum(counts.values()), "splits": counts, "removed": removed.report()}


if __name__ == "__main__":
    main(run)
