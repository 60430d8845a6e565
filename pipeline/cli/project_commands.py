"""Commands on a project: run it, look at it, change its parameters."""

from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Exit

from pipeline.cli.answers import with_json
from pipeline.cli.application import app
from pipeline.files import InputError


@app.command()
@with_json
def run(targets: Annotated[list[str] | None, typer.Argument(help="Stages; all of them by default.")] = None) -> None:
    """Check params.yaml, run every stage that changed, end with the table."""
    from pipeline.cli.run import run_project

    raise Exit(run_project(targets or []))


@app.command()
@with_json
def quick(
    recipe: Annotated[Path, typer.Argument(help="Which parameters to scale down.")] = Path("params.yaml"),
) -> None:
    """Run the same chain on a small share of the data, in .stillhouse/quick."""
    from pipeline.cli.quick import enter_quick_copy
    from pipeline.cli.run import run_project

    enter_quick_copy(recipe)
    raise Exit(run_project([]))


@app.command()
@with_json
def report() -> None:
    """Print the closing table of the last run again."""
    from pipeline.cli.run import print_table

    print_table()


@app.command()
@with_json
def use(
    recipe: Annotated[Path | None, typer.Argument(help="A whole params.yaml, such as those in recipes/.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="With a recipe, the file or folder with its rows; else yours: .csv, .tsv, .jsonl, .parquet."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="The column that holds the text.")] = None,
    label: Annotated[str | None, typer.Option(help="The column that holds the label.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the dataset; the file's name by default.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace params.yaml even if its edits get lost.")] = False,
) -> None:
    """Make a recipe the params.yaml and bring its data, or write one for data of your own."""
    from pipeline.cli.recipe import use_recipe

    if recipe is not None and (text, label, name) == (None, None, None):
        use_recipe(recipe, data, force)
    elif recipe is None and data is not None and text is not None and label is not None:
        from pipeline.cli.own_data import use_data

        use_data(data, text=text, label=label, name=name, force=force)
    else:
        raise InputError("use: expected RECIPE.yaml [--data FOLDER], or --data FILE --text COLUMN --label COLUMN")


@app.command()
@with_json
def upgrade(
    tag: Annotated[str, typer.Argument(help="A release: a tag, branch or commit.")],
    remote: Annotated[str | None, typer.Option("--from", help="The remote that has it; origin by default.")] = None,
) -> None:
    """Merge a later release into this project, which keeps its data, its dvc.lock and its params.yaml."""
    from pipeline.cli.upgrade import upgrade_project

    raise Exit(upgrade_project(tag, remote))


@app.command()
@with_json
def clean(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Free what killed, superseded and trial runs left, after saying what it is."""
    from pipeline.cli.leftovers import free_leftovers

    free_leftovers(agreed=yes)


@app.command()
@with_json
def doctor() -> None:
    """Print what the bits of a result depend on, here and now."""
    from pipeline.cli.doctor import examine

    examine()


@app.command()
@with_json
def ui() -> None:
    """Show MLflow's and Prefect's own pages on loopback until Ctrl-C."""
    from pipeline.cli.pages import show_pages

    show_pages()
