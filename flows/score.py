"""Flow `score`: the rows of a file answered by the champion, which `stillhouse score` does in a process of its own."""

import sys
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_link_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.crashes import close_crashed_runs, note_this_run
from flows.dag import BAD_INPUT, run_command
from flows.stage import Session

MONITOR = Path("reports/monitor")


@flow(name="score", persist_result=False)
def score(
    source: str,
    out: str,
    task: str | None = None,
    version: int | None = None,
    text: str | None = None,
    pair: str | None = None,
    key: list[str] | None = None,
    source_url: str | None = None,
    out_url: str | None = None,
) -> State[None]:
    """Answer for every row of a file; a run that was killed goes on where it stopped when it is started again.

    Args:
        source: The rows: a .parquet, .csv, .tsv or .jsonl file, or .sha256, a list of such files.
        out: Where they go with the answers beside them, in the same format.
        task: Which task of params.yaml; not needed where there is one.
        version: Which version answers; @champion by default.
        text: The column that holds the text; `text` by default.
        pair: The column of the second text; `pair` by default.
        key: The columns that the output keeps; all by default.
        source_url: Folder of a storage with the files of a list.
        out_url: Folder of a storage where they go with the answers beside them.
    """
    note_this_run()
    close_crashed_runs()
    options = {"task": task, "version": version, "text": text, "pair": pair}
    options |= {"source-url": source_url, "out-url": out_url}
    command = [sys.executable, "-m", "pipeline.cli", "score", source, out]
    command += [f"--{name}={value}" for name, value in options.items() if value is not None]
    command += [f"--key={column}" for column in key or ()]
    with Session(1) as session:
        code, lines = run_command(session, command)
    line = lines[-1] if lines else "stillhouse score: ended without a word, perhaps killed"
    for page in sorted(MONITOR.glob(f"{task or '*'}.html")):
        create_link_artifact(key="monitor", link=page.resolve().as_uri(), link_text=str(page))
    if code == 0:
        return Completed(message=line)
    return Failed(name=BAD_INPUT if code == 2 else "Failed", message=line.removeprefix("stillhouse: "))
