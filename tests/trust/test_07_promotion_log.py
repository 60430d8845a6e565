"""Point 7: every move of an alias is a line that cannot be changed unseen, and the way back is one command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.files import InputError
from pipeline.registry.promotion_log import FILE, HEAD, PromotionLogError, as_text, sealed
from tests.trust.four_versions import NAME, aliases, client, decide, enter, lines, log_file, roll_back


def stillhouse(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, words)
    return result.exit_code, result.output


def test_a_move_is_a_line_with_who_when_from_to_why_and_the_hash_of_its_evidence(folder: Path) -> None:
    for version in (1, 2):
        decide(version)
    decide(3, "challenger")
    assert aliases() == {"champion": 2, "challenger": 3}
    found = [(line["alias"], line["from"], line["to"], line["by"], line["why"]) for line in lines()]
    assert found == [
        ("champion", None, 1, "gate", "version 1 is better"),
        ("champion", 1, 2, "gate", "version 2 is better"),
        ("challenger", None, 3, "gate", "version 3 is better"),
    ]
    text = log_file(folder).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in text] == lines()
    evidence = log_file(folder).parent / "evidence" / f"{lines()[1]['evidence_sha256']}.json"
    assert json.loads(evidence.read_text())["evidence"] == {"rows": 20}
    code, output = stillhouse("history", NAME)
    assert code == 0
    assert len([row for row in output.splitlines() if "gate" in row]) == 3


def changed(name: str, value: Any) -> Callable[[list[str]], list[str]]:
    def change(rows: list[str]) -> list[str]:
        line = json.loads(rows[1]) | {name: value}
        return [rows[0], as_text(line).rstrip("\n"), rows[2]]

    return change


def resealed(rows: list[str]) -> list[str]:
    """The second line tells another story and the hashes from there on are made to fit."""
    chain = [json.loads(rows[0])]
    for row in rows[1:]:
        line = json.loads(row)
        entry = {key: value for key, value in line.items() if key not in ("sequence", "sha256", "previous_sha256")}
        chain.append(sealed(entry | ({"why": "because"} if line["sequence"] == 2 else {}), chain))
    return [as_text(line).rstrip("\n") for line in chain]


def appended(rows: list[str]) -> list[str]:
    chain = [json.loads(row) for row in rows]
    entry = {key: value for key, value in chain[-1].items() if key not in ("sequence", "sha256", "previous_sha256")}
    return [*rows, as_text(sealed(entry | {"from": 3, "to": 4}, chain)).rstrip("\n")]


TAMPERED: dict[str, tuple[Callable[[list[str]], list[str]], int]] = {
    "who": (changed("who", "somebody else"), 2),
    "to": (changed("to", 4), 2),
    "why": (changed("why", "because"), 2),
    "evidence": (changed("evidence_sha256", "0" * 64), 2),
    "model": (changed("model", "spam"), 2),
    "first deleted": (lambda rows: rows[1:], 1),
    "one deleted": (lambda rows: [rows[0], rows[2]], 2),
    "last deleted": (lambda rows: rows[:2], 3),
    "all deleted": (lambda rows: [], 1),
    "reordered": (lambda rows: [rows[0], rows[2], rows[1]], 2),
    "repeated": (lambda rows: [*rows, rows[2]], 4),
    "resealed": (resealed, 3),
    "appended": (appended, 4),
    "respelled": (lambda rows: [rows[0], rows[1].replace(", ", ","), rows[2]], 2),
    "no JSON": (lambda rows: [rows[0], "oops", rows[2]], 2),
    "blank line": (lambda rows: [rows[0], "", *rows[1:]], 2),
}


@pytest.fixture(scope="module")
def three_moves(four_versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moved")
    shutil.copy(four_versions, folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(folder, monkeypatch)
        for version in (1, 2, 3):
            decide(version)
    return folder


@pytest.mark.parametrize("how", TAMPERED)
def test_a_log_that_was_tampered_with_is_refused_and_the_first_bad_line_named(
    three_moves: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    enter(three_moves, monkeypatch)
    tamper, bad = TAMPERED[how]
    file = log_file(three_moves)
    whole = file.read_text(encoding="utf-8")
    file.write_text("".join(f"{row}\n" for row in tamper(whole.splitlines())), encoding="utf-8")
    code, output = stillhouse("history", NAME)
    assert (code, len(output.splitlines())) == (1, 1)
    assert f"{NAME}, line {bad} of {FILE}: " in output
    for move in (roll_back, lambda: decide(4)):
        with pytest.raises(PromotionLogError):
            move()
    assert aliases() == {"champion": 3}
    file.write_text(whole, encoding="utf-8")
    assert len(lines()) == 3


def test_no_byte_of_the_log_or_its_evidence_can_be_changed(folder: Path) -> None:
    for version in (1, 2):
        decide(version)
    for file in [log_file(folder), *log_file(folder).parent.glob("evidence/*")]:
        content = file.read_bytes()
        for place in {*range(0, len(content), max(1, len(content) // 12)), len(content) - 1}:
            file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with pytest.raises(PromotionLogError):
                lines()
        file.write_bytes(content[:-1])
        with pytest.raises(PromotionLogError):
            lines()
        file.write_bytes(content)
    assert len(lines()) == 2


def test_a_tag_that_counts_the_lines_cannot_be_lost_or_changed(folder: Path) -> None:
    decide(1)
    tags = client().get_registered_model(NAME).tags
    for key, head in tags.items():
        for other in (None, "0", "oops", f"2{head[1:]}", head[:-1]):
            if other is None:
                client().delete_registered_model_tag(NAME, key)
            else:
                client().set_registered_model_tag(NAME, key, other)
            with pytest.raises(PromotionLogError):
                lines()
            client().set_registered_model_tag(NAME, key, head)
    assert len(lines()) == 1


def test_rollback_goes_back_further_each_time_and_refuses_at_the_beginning(folder: Path) -> None:
    for version in (1, 2, 3):
        decide(version)
    code, output = stillhouse("rollback", NAME, "--why", "it answers [badly]")
    assert (code, output) == (0, f"{NAME}: @champion is back at version 2, it was at version 3: it answers [badly]\n")
    assert lines()[-1]["why"] == "it answers [badly]"
    assert "[badly]" in stillhouse("history", NAME)[1]
    assert (roll_back()["to"], aliases()) == (1, {"champion": 1})
    code, output = stillhouse("rollback", NAME)
    assert (code, len(output.splitlines())) == (2, 1)
    assert "no version before 1" in output
    assert aliases() == {"champion": 1}
    decide(4)
    assert (roll_back()["to"], len(lines())) == (1, 7)


def test_rollback_passes_over_versions_that_are_gone(folder: Path) -> None:
    for version in (1, 2, 3):
        decide(version)
    client().delete_model_version(NAME, "2")
    assert (roll_back()["to"], aliases()) == (1, {"champion": 1})
    with pytest.raises(InputError):
        roll_back()


def test_a_version_is_promoted_by_hand_and_rolled_back_like_any_other(folder: Path) -> None:
    for version in (1, 2):
        decide(version)
    code, output = stillhouse("promote", NAME, "4", "--why", "needed [today]")
    assert (code, output) == (0, f"{NAME}: @champion is version 4 now, it was version 2: needed [today]\n")
    assert (lines()[-1]["by"], lines()[-1]["why"], aliases()) == ("hand", "needed [today]", {"champion": 4})
    for wrong, says in (("4", "version 4 is @champion already"), ("9", "no version 9, expected one of [1, 2, 3, 4]")):
        code, output = stillhouse("promote", NAME, wrong, "--why", "again")
        assert (code, len(output.splitlines())) == (2, 1) and says in output
    assert (roll_back()["to"], len(lines())) == (2, 4)


def test_a_model_that_is_not_registered_is_the_user_s_mistake(folder: Path) -> None:
    for command in (["history"], ["rollback"], ["promote", "--why", "so"]):
        code, output = stillhouse(*command, "nothing", *["1"] * (command[0] == "promote"))
        assert (code, len(output.splitlines())) == (2, 1)
        assert "expected one of ['sentiment']" in output


def test_a_move_made_on_mlflow_s_page_becomes_a_line(folder: Path) -> None:
    client().set_registered_model_alias(NAME, "champion", "1")  # before there was a log
    assert [(line["from"], line["to"], line["by"]) for line in lines()] == [(None, 1, "elsewhere")]
    decide(2)
    client().set_registered_model_alias(NAME, "champion", "1")
    client().set_registered_model_alias(NAME, "trial", "3")
    assert [(line["alias"], line["from"], line["to"]) for line in lines()[2:]] == [
        ("champion", 2, 1),
        ("trial", None, 3),
    ]
    client().delete_registered_model_alias(NAME, "champion")
    assert (lines()[-1]["to"], aliases()) == (None, {"trial": 3})
    assert (roll_back()["to"], aliases()["champion"]) == (1, 1)
    assert len(lines()) == 6


def test_a_model_that_was_deleted_and_made_again_has_a_log_of_its_own(folder: Path) -> None:
    decide(1)
    client().delete_registered_model(NAME)
    client().create_registered_model(NAME)
    client().create_model_version(NAME, "s3://nowhere/model")
    assert lines() == []
    decide(1)
    assert len(lines()) == 1


def test_a_log_past_repair_can_be_begun_anew(folder: Path) -> None:
    for version in (1, 2):
        decide(version)
    file = log_file(folder)
    file.write_text("gone", encoding="utf-8")
    client().delete_run(file.parent.parent.name)
    with pytest.raises(PromotionLogError):
        lines()
    client().delete_registered_model_tag(NAME, HEAD)
    assert [(line["from"], line["to"], line["by"]) for line in lines()] == [(None, 2, "elsewhere")]
    decide(3)
    assert (roll_back()["to"], len(lines())) == (2, 3)
