"""Point 11: no secret of the environment stands in a file, a tag, an artifact or a line of what a run prints."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import tracking
from pipeline.files import InputError
from pipeline.params import read_yaml
from tests.trust.hostile_files import ROWS
from tests.trust.registered_project import TASK

ROOT = Path(__file__).parents[2]
MARKER = "s3cr3t"
SECRETS = {
    name: f"{MARKER}-{name.lower()}"
    for name in (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "OPENAI_API_KEY", "DATABRICKS_TOKEN", "GITHUB_TOKEN",
        "MLFLOW_TRACKING_PASSWORD", "AZURE_STORAGE_CONNECTION_STRING", "PREFECT_API_KEY",
    )
}  # fmt: skip
REGISTER = "from pathlib import Path; from tests.trust.registered_project import register_student as r; r(Path.cwd())"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A tracking server: its address with a user and a password in it, and the folder that it keeps everything in."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    store = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    place = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *place, *store],
            env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            wait_for(f"http://127.0.0.1:{port}/health")
            yield f"http://somebody:password-{MARKER}@127.0.0.1:{port}", folder
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def wait_for(address: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(address, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"{address} does not answer")


def run(folder: Path, *words: str, address: str = "") -> tuple[int, str]:
    """Run Python in `folder` with the secrets in its environment; return the exit code and all that it printed."""
    environment = os.environ | SECRETS | {"PYTHONPATH": str(ROOT)}
    environment |= {"MLFLOW_TRACKING_URI": address} if address else {}
    ended = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=200
    )
    return ended.returncode, ended.stdout + ended.stderr


def assert_nothing_leaked(printed: str, *folders: Path) -> None:
    assert MARKER not in printed, printed
    for folder in folders:
        files = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts]
        assert files
        leaking = [path for path in files if MARKER.encode() in path.read_bytes()]
        assert leaking == []


@pytest.fixture
def project(made_project: Path, tmp_path: Path) -> Path:
    """The made project with a remote whose address holds a token, as some git hosts hand it out."""
    folder = tmp_path / "project"
    shutil.copytree(made_project, folder)
    remote = f"https://token-{MARKER}@git.example.org/x.git"
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=folder, check=True)
    return folder


def test_register_keeps_secrets_to_itself(project: Path, server: tuple[str, Path]) -> None:
    address, store = server
    code, printed = run(project, "-c", REGISTER, address=address)
    assert code == 0, printed
    record = (project / f"reports/{TASK}/registered.json").read_text(encoding="utf-8")
    assert '"tracking_uri": "http://127.0.0.1:' in record
    assert any((store / "artifacts").rglob("*.safetensors"))
    assert_nothing_leaked(printed, project, store)


def test_a_register_that_fails_keeps_secrets_to_itself(project: Path) -> None:
    address = f"http://somebody:password-{MARKER}@127.0.0.1:{free_port()}"
    command = [
        "from pipeline.stages import register; from pipeline.stages.command import _outcome",
        "from tests.trust.registered_project import register_student; from pathlib import Path",
        "raise SystemExit(_outcome(lambda params: register_student(Path.cwd()), 'register@x', True))",
    ]
    shutil.copy(ROOT / "params.yaml", project / "params.yaml")
    code, printed = run(project, "-c", "; ".join(command), address=address)
    assert code == 1 and "register@x: " in printed and "Traceback" in printed
    assert_nothing_leaked(printed, project)


@pytest.mark.parametrize("label", ["1", "7"])
def test_ingest_and_validate_keep_secrets_to_themselves(tmp_path: Path, label: str) -> None:
    values = read_yaml(ROOT / "recipes/sentiment-from-scratch.yaml")
    dataset = values["datasets"]["rotten_tomatoes"]
    source = {"kind": "file", "format": "csv", "header": None, "files": None, "origin": None}
    dataset.update(path="rows.csv", source=source, only_sources=None, split={"dev": 0.2, "test": 0.2})
    dataset["columns"]["source"] = None
    with open(tmp_path / "params.yaml", "w", encoding="utf-8") as file:
        YAML().dump(values, file)
    rows = "".join(f"{text},{value}\n" for text, value in ROWS)
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}one more row of words,{label}\n")
    (tmp_path / "none.jsonl").write_text("\n")
    ingest = ["--path", "rows.csv", "--held-out", "none.jsonl", "--out", "ingested", "--held-out-out", "held_out.jsonl"]
    code, printed = run(tmp_path, "-m", "pipeline.stages.ingest", "--dataset", "rotten_tomatoes", *ingest, "--debug")
    assert code == (0 if label == "1" else 2), printed
    paths = {"rows": "ingested", "held-out": "held_out.jsonl", "out": "validated", "quarantine": "aside.parquet"}
    paths |= {"summary": "summary.json", "page": "page.html"}
    options = [word for name, path in paths.items() for word in (f"--{name}", path)]
    code, more = run(tmp_path, "-m", "pipeline.stages.validate", "--dataset", "rotten_tomatoes", *options, "--debug")
    assert code == (0 if label == "1" else 2), more
    assert_nothing_leaked(printed + more, tmp_path)


@pytest.mark.parametrize("address", [f"http://{MARKER}@127.0.0.1:9", f"https://:{MARKER}@host", f"http://u:@{MARKER}"])
def test_half_of_a_login_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow takes both from its own variables or none, and would print the address with whatever stands in it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI: a user or a password alone") as caught:
        tracking.connect()
    assert MARKER not in str(caught.value)
