"""The whole job as a flow, small: what a newcomer finds about it on MLflow's, Prefect's and its own pages."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from pipeline.cli.quick import enter_quick_copy
from pipeline.files import read_json
from tests.browser.project_servers import project_servers
from tests.browser.screenshots import open_champion
from tests.trust.whole_project import ENVIRONMENT, QUICK, RECIPE, ROOT, checkout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, browser: object) -> Path:
    """A project at the smoke scale in which nothing has run yet."""
    folder = checkout(ROOT, tmp_path_factory.mktemp("checkout"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        enter_quick_copy(Path(RECIPE))
    return folder / QUICK


@pytest.fixture(scope="module")
def addresses(project: Path) -> Iterator[dict[str, str]]:
    """The addresses of both servers after the flow has run on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with project_servers(project) as found:
            environment = ENVIRONMENT | {
                "PREFECT_API_URL": f"{found['prefect']}/api",
                "PREFECT_HOME": str(project / ".stillhouse/prefect"),
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            }
            done = subprocess.run(
                [sys.executable, "-m", "flows.train"], cwd=project, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
            yield found


def ask_prefect(addresses: dict[str, str], what: str) -> list[dict[str, Any]]:
    """Return all that Prefect's server knows of a kind."""
    asked = urllib.request.Request(
        f"{addresses['prefect']}/api/{what}/filter", b"{}", {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked) as answer:
        return list(json.load(answer))


def test_the_champion_is_found_in_three_clicks(addresses: dict[str, str], open_page: Callable[..., Page]) -> None:
    page = open_page(addresses["mlflow"])
    open_champion(page, addresses["mlflow"])
    expect(page.get_by_text("Version 1").first).to_be_visible()
    shown = page.inner_text("body")
    assert "model-index" not in shown, "the card's YAML is no text"
    for words in ("How good it is", "Where it comes from", "stillhouse.student_sha256", "stillhouse.decision"):
        assert words in shown
    page.get_by_role("link", name="Registered Models").click()
    page.get_by_role("link", name="sentiment", exact=True).click()
    expect(page.get_by_text("each distilled from a larger teacher")).to_be_visible()


def test_a_version_leads_to_its_run_its_data_and_its_metrics(
    addresses: dict[str, str], open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{addresses['mlflow']}/#/models/sentiment/versions/1")
    page.get_by_role("link", name=re.compile("^sentiment [0-9a-f]{8}")).click()
    expect(page.get_by_text("student_accuracy").first).to_be_visible()
    expect(page.get_by_text("rotten_tomatoes").first).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="student", exact=True).click()
    expect(page.get_by_text("student_accuracy").first).to_be_visible()
    assert "Not registered" not in page.inner_text("body")


def test_experiments_say_what_they_are_and_runs_have_curves(
    addresses: dict[str, str], open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{addresses['mlflow']}/#/experiments")
    expect(page.get_by_text("What was trained").first).to_be_visible()
    expect(page.get_by_text("Who was champion when and why").first).to_be_visible()
    place = page.get_by_role("link", name="stillhouse", exact=True).get_attribute("href")
    page.goto(f"{addresses['mlflow']}/{place}/runs")
    page.get_by_role("link", name=re.compile("^sentiment [0-9a-f]{8}")).first.click()
    page.get_by_role("link", name="distill@sentiment").click()
    page.get_by_role("tab", name="Model metrics").click()
    for name in ("student_train_loss", "student_dev_accuracy"):
        expect(page.get_by_text(name).first).to_be_visible()


def test_a_flow_run_shows_stages_logs_and_artifacts(addresses: dict[str, str], open_page: Callable[..., Page]) -> None:
    [run] = ask_prefect(addresses, "flow_runs")
    page = open_page(f"{addresses['prefect']}/runs/flow-run/{run['id']}")
    expect(page.get_by_text("14 Task runs")).to_be_visible()
    expect(page.get_by_text("rotten_tomatoes").first).to_be_visible()
    page.get_by_role("tab", name="Artifacts").or_(page.get_by_text("Artifacts", exact=True)).first.click()
    for words in ("stages", "report", "What each stage of dvc.yaml did in this run"):
        expect(page.get_by_text(words, exact=True).first).to_be_visible()


def test_the_links_of_a_flow_run_lead_to_what_they_name(
    project: Path, addresses: dict[str, str], open_page: Callable[..., Page]
) -> None:
    links = {each["key"]: each["data"] for each in ask_prefect(addresses, "artifacts") if "](" in str(each["data"])}
    found = {key: re.search(r"\[(.+)\]\((.+)\)", link) for key, link in links.items()}
    assert set(found) == {"report", "summary", "validation-rotten-tomatoes", "validation-imdb", "mlflow-sentiment"}
    for key, link in found.items():
        assert link is not None
        if key != "mlflow-sentiment":
            assert link[2] == (project / link[1]).as_uri() and (project / link[1]).is_file()
    page = open_page(found["mlflow-sentiment"][2].replace("http://127.0.0.1:5000", addresses["mlflow"]))
    expect(page.get_by_text("student_accuracy").first).to_be_visible()


def test_the_report_says_what_each_stage_did(
    project: Path, addresses: dict[str, str], open_page: Callable[..., Page]
) -> None:
    page = open_page((project / "reports/index.html").as_uri())
    rows = [row.locator("th, td").all_inner_texts() for row in page.locator("table.stages tbody tr").all()]
    did = {stage: outcome for stage, _, outcome in rows}
    assert len(did) == 14 and all(did[name].startswith("ran") for name in did if not name.startswith("register"))
    hashes = read_json(project / "reports/sentiment/registered.json")["lineage"]
    assert page.locator("td.hash").all_inner_texts() and set(page.locator("td.hash").all_inner_texts()) == {
        *hashes.values()
    }
    page.get_by_role("link", name="every check of rotten_tomatoes").click()
    expect(page.locator("h1")).to_have_text("Validation of rotten_tomatoes")
