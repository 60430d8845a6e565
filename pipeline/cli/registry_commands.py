"""Commands on registered versions: where they come from, and which one is the champion."""

from typing import Annotated

import typer
from typer.exceptions import Exit

from pipeline.cli.answers import with_json
from pipeline.cli.application import app


@app.command()
@with_json
def verify(reference: Annotated[str, typer.Argument(help="NAME@ALIAS or NAME/VERSION.")]) -> None:
    """Hash every link from a registered version back to its raw rows and its code again."""
    from pipeline.cli.lineage import verify_version

    raise Exit(verify_version(reference))


@app.command()
@with_json
def lineage(
    digits: Annotated[str, typer.Argument(metavar="DATAHASH", help="An md5 or sha256, six digits or more.")],
) -> None:
    """List the registered versions that saw the data with this hash."""
    from pipeline.cli.lineage import show_sightings

    raise Exit(show_sightings(digits))


@app.command()
@with_json
def history(name: Annotated[str, typer.Argument(help="A registered model.")]) -> None:
    """Print every move of a model's aliases: who, when, from, to and why."""
    from pipeline.cli.promotions import show_history

    show_history(name)


@app.command()
@with_json
def promote(
    name: Annotated[str, typer.Argument(help="A registered model.")],
    version: Annotated[int, typer.Argument(help="Which of its versions.")],
    why: Annotated[str, typer.Option(help="What the log says of it.")],
) -> None:
    """Move @champion to a version by hand, whatever the gate said of it."""
    from pipeline.cli.promotions import promote_version

    promote_version(name, version, why)


@app.command()
@with_json
def rollback(
    name: Annotated[str, typer.Argument(help="A registered model.")],
    why: Annotated[str, typer.Option(help="What the log says of it.")] = "no reason given",
) -> None:
    """Move @champion back to the version it pointed to before."""
    from pipeline.cli.promotions import roll_back

    roll_back(name, why)
