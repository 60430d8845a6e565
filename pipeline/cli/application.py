"""The program `stillhouse`, to which the modules of this package add their commands."""

import os
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import Abort, Exit, TyperException

from pipeline.cli.answers import answers_for, fail
from pipeline.files import explain


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
