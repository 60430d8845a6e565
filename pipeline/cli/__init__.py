"""`stillhouse …`: what people type. Each command's work is a module of this package, imported when it is called."""

import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import Abort, Exit, TyperException

from pipeline.cli.answers import answer, answers_for, fail, with_json
from pipeline.files import InputError, explain

if TYPE_CHECKING:
    from pipeline.params import Params


class Commands(TyperGroup):
    """Turns what went wrong into one line and an exit code: 2 for the user's input, 1 for a failure."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        with answers_for([*ctx._protected_args, *ctx.args]) as as_json:
            try:
                return super().invoke(ctx)
            except (Exit, Abort, TyperException) as error:
                if isinstance(error, TyperException) and as_json:  # a mistake in the command line
                    fail(error.format_message())
                    raise Exit(error.exit_code) from None
                raise
            except Exception as error:
                if os.environ.get("STILLHOUSE_DEBUG"):
                    traceback.print_exc()
                code, line = explain(error)
                fail(line)
                raise Exit(code) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From raw text to a language model, a teacher, a small fast student and a registered model.",
)


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """Read the options that stand before every command."""
    if debug:
        os.environ["STILLHOUSE_DEBUG"] = "1"  # the stages read it too


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
def predict(
    texts: Annotated[list[str] | None, typer.Argument(help="What the model is to read.")] = None,
    pair: Annotated[
        str | None, typer.Option(help="The second text: a question about each text, or what it is compared with.")
    ] = None,
    passages: Annotated[
        Path | None, typer.Option(help="Instead of texts, a file of passages, one a line: the best are found and read.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Which task of params.yaml; not needed where there is one.")] = None,
) -> None:
    """Answer for texts with the champion: one JSON object a line."""
    from pipeline.registry import champion

    name, _ = _task_of(task)
    if (passages is None) != bool(texts) or (passages is not None and pair is None):
        raise InputError("predict: expected TEXT…, with --pair for pairs, or --pair QUESTION --passages FILE")
    if passages is not None and pair is not None:
        from pipeline.cli.passages import answer_from_passages

        answer(answer_from_passages(name, pair, passages), always=True)
        return
    second = {} if pair is None else {"pair": pair}
    for row in champion.predict(name, [{"text": text, **second} for text in texts or []]):
        answer(row, always=True)


@app.command()
@with_json
def bias(
    data: Annotated[
        Path | None, typer.Option(help="Pairs of sentences, a CSV file with the columns of CrowS-Pairs.")
    ] = None,
    winobias: Annotated[Path | None, typer.Option(help="The folder with the files of WinoBias.")] = None,
    model: Annotated[Path | None, typer.Option(help="A language model's folder; models/pretrained by default.")] = None,
) -> None:
    """Print how often the language model prefers the more stereotypical of two sentences."""
    from pipeline.cli.bias import measure_stereotypes

    if (data is None) == (winobias is None):
        raise InputError("bias: expected one of --data FILE and --winobias FOLDER")
    measure_stereotypes(data, winobias, model)


@app.command()
@with_json
def serve(
    task: Annotated[str | None, typer.Option(help="Which task of params.yaml; not needed where there is one.")] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on; others than this machine's are let in by it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes one that is free.")] = 8000,
) -> None:
    """Answer over HTTP with the champion, and with the next one as soon as the alias moves."""
    from pipeline.serving.server import serve as serve_champion

    name, _ = _task_of(task)

    def announce(address: str) -> None:
        print(f"stillhouse: serve: {name}@champion at {address}, Ctrl-C ends it", flush=True)
        answer({"task": name, "address": address})

    serve_champion(name, host, port, announce)


@app.command()
@with_json
def score(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Rows: .parquet, .csv, .tsv or .jsonl.")],
    out: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The same rows with answers, in the same format.")],
    task: Annotated[str | None, typer.Option(help="Which task of params.yaml; not needed where there is one.")] = None,
    version: Annotated[int | None, typer.Option(help="Which version answers; @champion by default.")] = None,
    text: Annotated[str | None, typer.Option(help="The column that holds the text; `text` by default.")] = None,
    pair: Annotated[str | None, typer.Option(help="The column of the second text; `pair` by default.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="A column to keep, may be repeated; all by default.")] = None,
) -> None:
    """Answer for every row of a file with the champion; a run that was killed goes on where it stopped."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as stages have it, before torch is imported
    from pipeline.scoring.batch import score as score_file

    name, params = _task_of(task)
    columns = {"text": text, "pair": pair}
    scored = score_file(
        name,
        source,
        out,
        threads=params.runtime.threads,
        engine=params.engine,
        version=version,
        columns=columns,
        key=key or [],
    )
    aside = f", {scored.tally.set_aside:,} set aside in {scored.set_aside}" if scored.tally.set_aside else ""
    print(f"{out}: {scored.tally.rows:,} rows answered by {scored.model}{aside}; {scored.page}")
    answer(
        {
            "output": str(out),
            "model": scored.model,
            "rows": scored.tally.rows,
            "set_aside": scored.tally.set_aside,
            "set_aside_in": str(scored.set_aside),
            "page": str(scored.page),
        }
    )


def _task_of(task: str | None) -> tuple[str, "Params"]:
    """Return the task that is asked for, the only one where none is named, and all parameters."""
    from pipeline.params import load_params

    params = load_params(Path("params.yaml"))
    tasks = sorted(params.tasks)
    if task not in tasks and (task is not None or len(tasks) > 1):
        raise InputError(f"--task: expected one of {tasks}, got {task or 'none'}")
    return task or tasks[0], params


@app.command()
@with_json
def clean(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Free what killed, superseded and trial runs left, after saying what it is."""
    from pipeline.cli.leftovers import free_leftovers

    free_leftovers(agreed=yes)


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
def drift(
    project: Annotated[Path, typer.Argument(help="A project in which the new rows were validated.")] = Path(),
    out: Annotated[Path | None, typer.Option(help="Where to write what was found, as JSON.")] = None,
) -> None:
    """Compare rows that came since with those that the champion was trained on: words, lengths, labels, embeddings."""
    from pipeline.cli.drift import measure_drift

    measure_drift(project, out)


@app.command()
@with_json
def history(name: Annotated[str, typer.Argument(help="A registered model.")]) -> None:
    """Print every move of a model's aliases: who, when, from, to and why."""
    from pipeline.cli.promotions import show_history

    show_history(name)


@app.command()
@with_json
def rollback(
    name: Annotated[str, typer.Argument(help="A registered model.")],
    why: Annotated[str, typer.Option(help="What the log says of it.")] = "no reason given",
) -> None:
    """Move @champion back to the version it pointed to before."""
    from pipeline.cli.promotions import roll_back

    roll_back(name, why)


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
