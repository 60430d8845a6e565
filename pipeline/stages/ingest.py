"""ingest: a source becomes one canonical table per split, and the list of what others must not train on."""

import itertools
from pathlib import Path

from pipeline.files import InputError, replacing, scratch_folder, write_json
from pipeline.params import Params
from pipeline.schema import SPLITS
from pipeline.sources.canonical import CountedRows
from pipeline.sources.held_out import read_held_out, write_held_out
from pipeline.sources.reading import read_counter_examples, read_source
from pipeline.sources.removed import Removed
from pipeline.sources.splitting import split_rows
from pipeline.sources.stored import canonical_rows
from pipeline.sources.tables import check_splits, write_table
from pipeline.stages.command import main


def run(params: Params, *, dataset: str, path: Path, held_out: Path, out: Path, held_out_out: Path) -> None:
    """Read, clean, split and decontaminate one dataset.

    Writes train.parquet, dev.parquet, test.parquet and report.json under `out`, and to `held_out_out` the dev and test
    texts together with those of `held_out`. Rows pass through scratch files beside `out`: what is in memory are the
    held-out texts, a part of the rows, and a few bytes for each of them.
    """
    if dataset not in params.datasets:
        raise InputError(f"--dataset {dataset}: expected one of {sorted(params.datasets)}")
    section = params.datasets[dataset]
    if section.only_sources is not None and section.columns.source is None:
        raise InputError(f"datasets.{dataset}.only_sources: given, but columns.source is null")
    held_out_texts = read_held_out(held_out)
    with scratch_folder(out) as scratch:
        parts = read_source(section.source, path, section.columns, scratch)
        if section.counter_examples is not None:
            parts = itertools.chain(parts, read_counter_examples(section.counter_examples, section.columns))
        raw, removed = CountedRows(parts), Removed()
        rows = canonical_rows(raw, dataset, section, removed, scratch)
        split = split_rows(rows, list(held_out_texts.values()), section, removed, scratch, params.engine)
        with replacing(out) as draft:
            draft.mkdir()
            contents = {
                name: write_table(draft / f"{name}.parquet", rows, split == place, scratch / name)
                for place, name in enumerate(SPLITS)
            }
            check_splits(raw.name, contents, section)
            counts = {name: of_split.rows for name, of_split in contents.items()}
            report = {"rows_read": raw.rows, "rows_kept": sum(counts.values())}
            write_json(draft / "report.json", report | {"splits": counts, "removed": removed.report()})
    write_held_out(held_out_out, held_out_texts, [out / "dev.parquet", out / "test.parquet"])


if __name__ == "__main__":
    main(run)
