"""`stillhouse history`, `promote` and `rollback`: how a model's aliases came to stand where they do; moves by hand."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from pipeline import tracking
from pipeline.cli.answers import answer
from pipeline.files import InputError
from pipeline.registry.promotions import Promotions, promotions_of
from pipeline.registry.sightings import MODELS


def show_history(name: str) -> None:
    """Print every move of an alias of a model, oldest first.

    Raises InputError for a model that is not registered, PromotionLogError where a line is not what was written.
    """
    with _promotions(name) as promotions:
        lines = promotions.lines
    table = Table("", "when (UTC)", "move", "by", "who", "why", "evidence", box=None, padding=(0, 2, 0, 0))
    for line in lines:
        when = line["at"][:16].replace("T", " ")
        move = f"@{line['alias']} {line['from'] or 'none'} -> {line['to'] or 'none'}"
        evidence = (line["evidence_sha256"] or "none")[:8]
        table.add_row(str(line["sequence"]), when, move, line["by"], line["who"], line["why"], evidence)
    Console(highlight=False, markup=False).print(table)
    answer({"moves": lines})


def promote_version(name: str, version: int, why: str) -> None:
    """Move @champion of a model to one of its versions, and say so.

    Raises InputError for a model or version that is not registered, and for the version that is @champion already.
    """
    with _promotions(name) as promotions:
        line = promotions.promote(version, why)
    print(f"{name}: @champion is version {line['to']} now, it was version {line['from'] or 'none'}: {why}")
    answer(line)


def roll_back(name: str, why: str) -> None:
    """Move @champion of a model to the version it pointed to before, and say so.

    Raises InputError for a model that is not registered or never had another champion.
    """
    with _promotions(name) as promotions:
        line = promotions.roll_back(why)
    print(f"{name}: @champion is back at version {line['to']}, it was at version {line['from'] or 'none'}: {why}")
    answer(line)


@contextmanager
def _promotions(name: str) -> Iterator[Promotions]:
    with tracking.connected() as mlflow:
        known = sorted(model.name for model in mlflow.MlflowClient().search_registered_models(max_results=MODELS))
        if name not in known:
            raise InputError(f"{name}: not in the registry at {mlflow.get_tracking_uri()}, expected one of {known}")
        with promotions_of(mlflow, name) as promotions:
            yield promotions
