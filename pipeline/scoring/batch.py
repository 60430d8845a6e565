"""`stillhouse score`: every row of a file answered by a registered model."""

from pathlib import Path
from typing import NamedTuple

from pipeline.files import InputError, replacing
from pipeline.scoring.scorer import Scorer, leave_set_aside
from pipeline.scoring.summary import Tally
from pipeline.scoring.tables import check_file, open_table
from pipeline.training.checkpoints import work_folder


class Scored(NamedTuple):
    """What a run did: who answered, what was counted, where rows were set aside, and the page of all runs."""

    model: str
    tally: Tally
    set_aside: Path
    page: Path


def score(scorer: Scorer, source: Path, out: Path) -> Scored:
    """Write the rows of `source` with what the model answers to each.

    Rows that cannot be answered go to `NAME.set_aside.jsonl` beside the output, each with its number and the reason;
    where there are none, no such file is left. The same source and version give the same bytes.
    Raises InputError where the model, the file or a column is not there.
    """
    aside = place_of_rows_set_aside(source, out)
    check_file(source)  # a model takes seconds to load
    table = open_table(source, scorer.columns)
    with work_folder(f"score@{scorer.task}", scorer.identity(source)) as folder:
        with replacing(out) as draft:
            tally, parts = scorer.answer(table, f"score {scorer.task}", folder, draft)
        leave_set_aside(parts, tally, aside)
        return Scored(scorer.name, tally, aside, scorer.record(source, out, tally))


def place_of_rows_set_aside(source: Path, out: Path) -> Path:
    """Return where rows go that cannot be answered; raise InputError where an output would replace the input."""
    if out.suffix != source.suffix or out.resolve() == source.resolve():
        raise InputError(f"{out}: expected another file that ends in {source.suffix or '.csv'}, as the input does")
    aside = out.with_suffix(".set_aside.jsonl")
    if aside.resolve() == source.resolve():
        raise InputError(f"{source}: is where rows of {out} are set aside, expected an output of another name")
    return aside
