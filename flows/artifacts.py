"""What a person finds on the page of a flow run: a table of its stages, and where to read on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_table_artifact

from flows.graph import Node
from flows.stage import Session, StageResult
from pipeline.drivers import HOST, MLFLOW_PORT
from pipeline.files import read_json
from pipeline.params import load_params

REPORTS = Path("reports")
# a browser opens no file from a page that came from a server: the link can be copied into the address bar
FILE = "A file: copy its address into the address bar."
ABOUT = {
    "report": f"Models, baselines, curves, the decision. {FILE}",
    "summary": f"The closing table as JSON. {FILE}",
    "validation": f"What was wrong with the data. {FILE}",
    "mlflow": "The run that the registered version came out of.",
}


def publish(nodes: Sequence[Node], session: Session) -> None:
    """Leave the table of `nodes` and links to the pages and to the MLflow runs behind what is registered."""
    table = [_row(node, session.results) for node in nodes]
    create_table_artifact(key="stages", table=table, description="What each stage of dvc.yaml did in this run")
    pages = {"report": REPORTS / "index.html", "summary": REPORTS / "summary.json"}
    pages |= {f"validation-{_key(page.stem)}": page for page in sorted(REPORTS.glob("validation/*.html"))}
    for key, page in pages.items():
        if page.is_file():
            create_link_artifact(
                key=key, link=page.resolve().as_uri(), link_text=str(page), description=ABOUT[key.split("-")[0]]
            )
    for task, registered in _registrations().items():
        text = f"{task} version {registered['version']} in MLflow"
        create_link_artifact(
            key=f"mlflow-{_key(task)}", link=_page_of(registered), link_text=text, description=ABOUT["mlflow"]
        )


def standings() -> list[str]:
    """Return a sentence for each task: the version that holds its student, its aliases, what the gate decided."""
    return [
        f"{task} version {found['version']} {' '.join(f'@{alias}' for alias in found['aliases'])}: {found['decision']}"
        for task, found in _registrations().items()
    ]


def _registrations() -> dict[str, dict[str, Any]]:
    """Return by task what `register` left of the version that holds its student."""
    files = {task: REPORTS / task / "registered.json" for task in load_params(Path("params.yaml")).tasks}
    return {task: read_json(file)["registered"] for task, file in files.items() if file.is_file()}


def _row(node: Node, results: dict[str, StageResult]) -> dict[str, Any]:
    result = results.get(node.name, StageResult("not run", 0.0, line="something it needs failed"))
    cached = {"ran": "run", "unchanged": "cached", "restored": "cached"}.get(result.outcome, "")
    seconds = round(result.seconds, 1)
    return {
        "stage": node.name, "outcome": result.outcome, "seconds": seconds, "cached or run": cached, "note": result.line
    }  # fmt: skip


def _page_of(registered: dict[str, Any]) -> str:
    """Return the address of a version's run: its server's, or that of `make ui` over a database of files."""
    store = registered["tracking_uri"]
    server = store.rstrip("/") if store.startswith("http") else f"http://{HOST}:{MLFLOW_PORT}"
    return f"{server}/#/runs/{registered['run_id']}"


def _key(name: str) -> str:
    return name.lower().replace("_", "-")  # Prefect's keys have no other signs
