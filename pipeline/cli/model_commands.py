"""Commands on models: their answers, to one text or to files or over HTTP, and what is wrong with them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.answers import answer, with_json
from pipeline.cli.application import app
from pipeline.files import InputError

if TYPE_CHECKING:
    from pipeline.params import Params


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
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="Rows: .parquet, .csv, .tsv or .jsonl; or .sha256, their list."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The same rows with answers, in the same format.")],
    task: Annotated[str | None, typer.Option(help="Which task of params.yaml; not needed where there is one.")] = None,
    version: Annotated[int | None, typer.Option(help="Which version answers; @champion by default.")] = None,
    text: Annotated[str | None, typer.Option(help="The column that holds the text; `text` by default.")] = None,
    pair: Annotated[str | None, typer.Option(help="The column of the second text; `pair` by default.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="A column to keep, may be repeated; all by default.")] = None,
    source_url: Annotated[str | None, typer.Option(help="Folder of a storage with the files of a list.")] = None,
    out_url: Annotated[str | None, typer.Option(help="Folder of a storage where they go with answers.")] = None,
) -> None:
    """Answer for every row of a file with the champion; a run that was killed goes on where it stopped."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as stages have it, before torch is imported
    from pipeline.scoring.batch import score as score_file
    from pipeline.scoring.listed import LIST, score_listed
    from pipeline.scoring.scorer import Scorer

    for option, url in {"--source-url": source_url, "--out-url": out_url}.items():
        if (url is not None) != (source.suffix == LIST):
            raise InputError(f"{source}: expected {option} with a list of files ({LIST}), and with it alone")
    name, params = _task_of(task)
    columns = {"text": text, "pair": pair}
    scorer = Scorer(name, params.runtime.threads, params.engine, version, columns, key or [])
    if source_url and out_url:
        scored = score_listed(scorer, source, out, source_url=source_url, out_url=out_url)
    else:
        scored = score_file(scorer, source, out)
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
def drift(
    project: Annotated[Path, typer.Argument(help="A project in which the new rows were validated.")] = Path(),
    out: Annotated[Path | None, typer.Option(help="Where to write what was found, as JSON.")] = None,
) -> None:
    """Compare rows that came since with those that the champion was trained on: words, lengths, labels, embeddings."""
    from pipeline.cli.drift import measure_drift

    measure_drift(project, out)


def _task_of(task: str | None) -> tuple[str, "Params"]:
    """Return the task that is asked for, the only one where none is named, and all parameters."""
    from pipeline.params import load_params

    params = load_params(Path("params.yaml"))
    tasks = sorted(params.tasks)
    if task not in tasks and (task is not None or len(tasks) > 1):
        raise InputError(f"--task: expected one of {tasks}, got {task or 'none'}")
    return task or tasks[0], params
