"""The flow that takes in new data: once, and only what passes; what is fetched, what has drifted, what is said."""

import contextlib
import http.server
import json
import logging
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.files import content_hash
from tests.flows.conftest import PROJECT, run
from tests.flows.nursery import APPLES, PEARS, done, harvest, plant

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow, pytest.mark.timeout(900)]
OUTPUTS = ("data/validated", "data/ingested", "models", "dvc.lock", "registered.txt")
TRAIN = "train@sentiment"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Path:
    """A checkout that was refreshed once."""
    folder = plant(tmp_path_factory.mktemp("template") / "nursery")
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("NURSERY", str(folder / "done"))
        state = refreshed()
        assert state.is_completed() and "no champion yet" in state.message
        assert {row["stage"]: row["cached or run"] for row in table_of(state, "stages")} == {
            "ingest@apples": "cached", "ingest@pears": "cached",  # made in the copy
            "validate@apples": "cached", "validate@pears": "cached",
            TRAIN: "run", "register@sentiment": "run",
        }  # fmt: skip
    assert not (folder / ".stillhouse/refresh").exists()
    return folder


@pytest.fixture
def checkout(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(shutil.copytree(template, tmp_path / "nursery"))
    monkeypatch.setenv("NURSERY", str(folder / "done"))
    monkeypatch.chdir(folder)
    return folder


def refreshed(**chosen: Any) -> Any:
    from flows.refresh import refresh

    return refresh(**chosen, return_state=True)


def table_of(state: Any, key: str) -> list[dict[str, Any]]:
    """Return the rows of a table that a flow run has left."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        (data,) = [artifact.data for artifact in client.read_artifacts(artifact_filter=of_run) if artifact.key == key]
    return list(json.loads(data))


def outputs(checkout: Path) -> dict[str, str]:
    return {name: content_hash(checkout / name) for name in OUTPUTS}


def test_the_same_data_train_once_and_bad_data_change_nothing(checkout: Path) -> None:
    good = outputs(checkout)
    state = refreshed()
    assert (state.type.value, state.name) == ("COMPLETED", "Unchanged") and outputs(checkout) == good
    assert [done(checkout, stage) for stage in ("validate@pears", TRAIN, "register@sentiment")] == [1, 1, 2]

    harvest(checkout, "pears", [*PEARS, "rotten"])
    state = refreshed()
    assert (state.type.value, state.name) == ("FAILED", "Bad input")
    assert "validate@pears: data/ingested/pears.txt: check taste: expected no rotten row" in state.message
    assert "nothing was changed" in state.message
    assert outputs(checkout) == good and done(checkout, TRAIN) == 1
    assert [row["outcome"] for row in table_of(state, "stages") if row["stage"] == "validate@pears"] == ["failed"]


def test_what_drifted_is_said_and_stops_the_flow_where_it_is_to(checkout: Path) -> None:
    good = outputs(checkout)
    harvest(checkout, "apples", [*APPLES, *(f"cider from {number} barrels of last year" for number in range(120))])
    state = refreshed(on_drift="stop")
    assert (state.type.value, state.name) == ("FAILED", "Drifted") and "nothing was changed" in state.message
    assert "120 new rows against the 90 that version 1 was trained on (limit 0.1, 1% false alarms)" in state.message
    drifted = {row["aspect"]: row["drifted"] for row in table_of(state, "drift")}
    assert drifted == {"words": True, "length": True, "labels": False}
    assert outputs(checkout) == good and done(checkout, TRAIN) == 1

    state = refreshed()
    assert state.is_completed() and "drifted in length, words" in state.message
    assert done(checkout, TRAIN) == 2 and "cider" in (checkout / "models/sentiment.txt").read_text()


def test_an_import_is_fetched_and_one_that_fails_stays_outside(checkout: Path, tmp_path: Path) -> None:
    outside, inside = tmp_path / "market.txt", checkout / "data/raw/pears.txt"
    inside.rename(outside)
    run("-m", "dvc", "import-url", "--quiet", str(outside), str(inside.relative_to(checkout)), folder=checkout)
    outside.write_text(outside.read_text() + "bosc is crisp\n")
    state = refreshed()
    assert state.is_completed() and "0 new rows against the 90 that version 1 was trained on" in state.message
    assert done(checkout, TRAIN) == 2 and inside.read_text().endswith("bosc is crisp\n")
    good, tracked_by, text = outputs(checkout), Path(f"{inside}.dvc").read_text(), inside.read_text()
    assert content_hash(checkout / "data/ingested/pears.txt") == content_hash(inside)

    outside.write_text("rotten\n")
    state = refreshed()
    assert state.name == "Bad input" and "expected no rotten row" in state.message
    outside.unlink()
    state = refreshed()
    assert state.is_failed() and state.message.startswith("dvc update: ")
    assert inside.read_text() == text and Path(f"{inside}.dvc").read_text() == tracked_by
    assert outputs(checkout) == good and done(checkout, TRAIN) == 2


def test_a_file_of_a_git_repository_is_followed(checkout: Path, tmp_path: Path) -> None:
    """As datasets on the hub are such repositories, it is what a revision of theirs needs."""
    inside, theirs = checkout / "data/raw/pears.txt", tmp_path / "theirs"
    theirs.mkdir()
    inside.rename(theirs / "market.txt")
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")

    def commit() -> None:
        for words in (["add", "--all"], ["commit", "--quiet", "--message", "a season"]):
            subprocess.run([*git, *words], cwd=theirs, check=True)

    subprocess.run(["git", "init", "--quiet"], cwd=theirs, check=True)
    commit()
    there = ("dvc", "import", "--quiet", str(theirs), "market.txt", "--out", str(inside.relative_to(checkout)))
    run("-m", *there, folder=checkout)
    with (theirs / "market.txt").open("a") as market:
        market.write("anjou is green\n")
    commit()
    assert refreshed().is_completed()
    assert inside.read_text().endswith("anjou is green\n")
    assert refreshed().name == "Unchanged"


@pytest.fixture
def service() -> Iterator[tuple[str, list[str]]]:
    """A service that takes messages: its Apprise address and what it was sent."""
    received: list[str] = []

    class Service(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"json://127.0.0.1:{server.server_port}/?secret=hidden", received
        server.shutdown()


def test_who_asked_for_it_is_told_how_it_ended(
    tmp_path: Path, service: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address, received = service
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((PROJECT / "params.yaml").read_text().replace("seed: 17", "seed: seventeen"))
    assert refreshed().is_failed() and received == []

    monkeypatch.setenv("STILLHOUSE_NOTIFY", address)
    assert refreshed().is_failed()
    (message,) = received
    assert "refresh: Bad input" in message and "runtime.seed" in message

    logging.getLogger("prefect.flow_runs").addHandler(caplog.handler)  # Prefect passes nothing on to pytest
    monkeypatch.setenv("STILLHOUSE_NOTIFY", address.replace(address.rsplit(":", 1)[1], "1/?secret=hidden"))
    assert refreshed().name == "Bad input" and len(received) == 1
    assert "STILLHOUSE_NOTIFY: no message could be sent" in caplog.text and "hidden" not in caplog.text
