"""Every `stillhouse` command answers programs with `--json`: JSON alone on standard output, errors too."""

import json
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pipeline.cli import app
from tests.trust import four_versions

ROOT = Path(__file__).parents[2]
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
NEEDED = {"use": ["recipes/none.yaml"], "upgrade": ["v1"], "score": ["a.csv", "b.csv"], "verify": ["name@champion"],
          "lineage": ["no-hash"], "history": ["name"], "rollback": ["name"],
          "promote": ["name", "1", "--why", "so"], "bias": ["--data", "none.csv"],
          "predict": ["text"]}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_option(command: str) -> None:
    assert "--json" in [name for option in COMMANDS[command].params for name in option.opts]


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder, where one registry is made for all."""
    return tmp_path_factory.mktemp("nowhere")


@pytest.mark.parametrize("command", COMMANDS)
def test_outside_of_a_project_every_command_says_why_in_json_alone(
    command: str, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(nowhere)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    for options in ([], ["--json"]):
        result = CliRunner().invoke(app, [command, *NEEDED.get(command, []), *options])
        assert result.exit_code == 2, result.output
        line = result.stderr.splitlines()[-1].removeprefix("stillhouse: ")
        assert result.stdout == (json.dumps({"error": line}, ensure_ascii=False) + "\n" if options else "")


@pytest.mark.parametrize(
    "words", [["run", "--no-such-option"], ["predict", "--task"], ["no-such-command"], ["history"]], ids=" ".join
)
def test_mistakes_in_the_command_line_are_json_too(words: list[str]) -> None:
    result = CliRunner().invoke(app, [words[0], "--json", *words[1:]])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]
    assert CliRunner().invoke(app, words).stdout == ""


def test_an_answer_is_one_object_and_people_are_told_the_same_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")
    plain, asked = (CliRunner().invoke(app, ["doctor", *options]) for options in ([], ["--json"]))
    assert (plain.exit_code, plain.stderr) == (asked.exit_code, "") == (0, "") and asked.stderr == plain.stdout
    facts = json.loads(asked.stdout)
    assert facts["seed"] == "17" and list(facts) == [line.split("  ")[0] for line in plain.stdout.splitlines()]


def test_what_is_no_option_is_none(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(nowhere)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    result = CliRunner().invoke(app, ["history", "--", "--json"])  # a model of this name
    assert result.stdout == "" and "--json: not in the registry" in result.stderr


def test_what_a_command_did_is_in_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    four_versions.make_database(tmp_path)
    four_versions.enter(tmp_path, monkeypatch)
    for version in (1, 2):
        four_versions.decide(version)
    back, moves = (
        CliRunner().invoke(app, [command, four_versions.NAME, "--json"]) for command in ("rollback", "history")
    )
    assert back.stderr == "sentiment: @champion is back at version 1, it was at version 2: no reason given\n"
    assert [move["to"] for move in json.loads(moves.stdout)["moves"]] == [1, 2, 1]
    assert json.loads(back.stdout) == json.loads(moves.stdout)["moves"][-1]
