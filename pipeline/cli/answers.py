"""`--json`, the same for every command: JSON alone on standard output, what is printed for people goes to errors.

A command prints as it always does and gives its result to `answer` besides, which says nothing to people.
"""

import contextlib
import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TextIO

import typer

OPTION = "--json"
_HELP = 'Print JSON alone, an error as {"error": …}.'
_Shown = Annotated[bool, typer.Option(OPTION, help=_HELP)]
_output: TextIO | None = None  # where JSON goes while it is asked for


def with_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option; what it does is done for all of them by `answers_for`."""
    signature = inspect.signature(function)
    parameter = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Shown)

    @functools.wraps(function)
    def command(*, as_json: bool, **given: Any) -> Any:
        return function(**given)

    command.__annotations__ = {**function.__annotations__, "as_json": _Shown}
    vars(command)["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), parameter])
    return command


@contextlib.contextmanager
def answers_for(words: list[str]) -> Iterator[bool]:
    """Where the `words` of a command line ask for JSON, keep standard output for it; yield whether they do."""
    global _output
    asked = OPTION in (words[: words.index("--")] if "--" in words else words)
    if not asked:
        yield False
        return
    _output = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield True
    finally:
        _output = None


def asks_for_json() -> bool:
    """Tell whether JSON is asked for, so that nobody is there to be asked anything."""
    return _output is not None


def answer(value: Any, *, always: bool = False) -> None:
    """Print a result as one line of JSON where that is asked for, or `always`, as people get nothing else."""
    if _output is not None or always:
        print(json.dumps(value, ensure_ascii=False), file=_output or sys.stdout, flush=True)


def fail(line: str, **result: Any) -> None:
    """Say in one line what went wrong, and in JSON what there is besides."""
    print(f"stillhouse: {line}", file=sys.stderr)
    answer({"error": line, **result})
