"""Point 5: from a version back to its raw rows, every byte hashed again; and from data to the versions that saw it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from pipeline import tracking
from pipeline.cli import app
from pipeline.files import content_hash, read_json, sha256_of_file
from pipeline.registry import champion
from pipeline.registry.chain import walk_back
from pipeline.registry.copies import Copy, in_folder, md5_of_file
from pipeline.registry.lineage import code_revision
from pipeline.registry.sightings import sightings
from pipeline.registry.verification import Checked, verify
from tests.trust.registered_project import ROOT, STAGES, commit, register_student

OUTPUTS = [path for _, writes in STAGES.values() for path in writes]
SOURCES = ["data/raw/imdb.csv", "constraints.txt"]
KEPT = ["decision.json", "dvc.lock", "dvc.yaml", "evaluation.json", "params.yaml", "predictions.parquet"]
KEPT += ["training_row_ids.txt", "MLmodel", "served_model.py", "artifacts/model/README.md"]
KEPT += ["artifacts/model/model.safetensors", "artifacts/model/config.json", "requirements.txt"]
KEPT += ["artifacts/model/model.onnx", "artifacts/model/export.json"]


@pytest.fixture(scope="module")
def project(made_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose student is registered; tests leave it as they found it."""
    root = shutil.copytree(made_project, tmp_path_factory.mktemp("lineage") / "project", symlinks=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(root)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        monkeypatch.syspath_prepend(root / "site")
        register_student(root)
        yield root


@contextmanager
def one_byte_changed(path: Path) -> Iterator[None]:
    """Change a byte in the middle of a file, or of the first file of a folder, and change it back."""
    file = path if path.is_file() else min(member for member in path.rglob("*") if member.is_file())
    content, mode = file.read_bytes(), file.stat().st_mode
    file.chmod(0o644)  # DVC's cache is closed to writing
    middle = len(content) // 2
    file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    try:
        yield
    finally:
        file.write_bytes(content)
        file.chmod(mode)


def version() -> Any:
    return tracking.connect().MlflowClient().get_model_version("sentiment", "1")


def chain(root: Path) -> list[Checked]:
    return verify(tracking.connect(), version(), root / ".dvc/cache")


def broken(root: Path) -> dict[str, str]:
    return {row.link: row.problem for row in chain(root) if row.problem}


def stillhouse(*words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{Path.cwd() / 'site'}"}
    command = [sys.executable, "-P", "-m", "pipeline.cli", *words]  # -P: the project has a folder `pipeline` too
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_the_command_prints_a_chain_that_holds_and_names_a_link_that_does_not(project: Path) -> None:
    whole = stillhouse("verify", "sentiment@champion")
    assert whole.returncode == 0, whole.stderr
    assert [path for path in OUTPUTS + SOURCES if path not in whole.stdout] == []
    assert "BROKEN" not in whole.stdout
    with one_byte_changed(project / "data/raw/imdb.csv"):
        changed = stillhouse("verify", "sentiment/1")
    assert changed.returncode == 1
    assert changed.stderr.startswith("stillhouse: data/raw/imdb.csv: BROKEN, the copy in workspace has md5 ")
    assert len(changed.stderr.splitlines()) == 1


def test_every_link_holds_and_stays_so_when_the_model_is_used(project: Path) -> None:
    assert broken(project) == {}
    assert {*OUTPUTS, *SOURCES} < {row.link for row in chain(project)}
    champion.predict("sentiment", [{"text": "warm film"}])
    assert broken(project) == {}


@pytest.mark.parametrize("path", OUTPUTS + SOURCES)
def test_a_byte_changed_in_the_workspace_is_named(project: Path, path: str) -> None:
    with one_byte_changed(project / path):
        assert list(broken(project)) == [path]
    assert broken(project) == {}


@pytest.mark.parametrize("path", OUTPUTS)
def test_a_byte_changed_in_the_cache_is_named(project: Path, path: str) -> None:
    file = in_folder("workspace", project, path)
    assert file is not None
    for member in [file.md5(), *(md5_of_file(member) for member in file.files.values())]:
        with one_byte_changed(project / ".dvc/cache/files/md5" / member[:2] / member[2:]):
            assert path in broken(project)


@pytest.mark.parametrize("name", KEPT)
def test_a_byte_changed_in_what_mlflow_keeps_is_named(project: Path, name: str) -> None:
    (file,) = (
        file for file in (project / "mlruns").rglob(Path(name).name) if file.as_posix().endswith(f"artifacts/{name}")
    )
    with one_byte_changed(file):
        assert any(link.endswith(name) for link in broken(project))


def test_a_tag_of_the_version_that_was_changed_is_named(project: Path) -> None:
    client, tags = tracking.connect().MlflowClient(), version().tags
    checked = ("_sha256", "_path", ".code", ".stored_files")
    for key, value in ((key, value) for key, value in tags.items() if key.endswith(checked)):
        changed = [value[:-1] + ("0" if value[-1] != "0" else "1")]
        if key.endswith("stored_files"):
            places = range(0, len(value), len(value) // 20)
            changed = [value[:place] + chr(ord(value[place]) ^ 1) + value[place + 1 :] for place in places]
        for other in changed:
            client.set_model_version_tag("sentiment", "1", key, other)
            found = broken(project)
            client.set_model_version_tag("sentiment", "1", key, value)
            assert found, f"{key} was changed to {other} and nobody noticed"


def test_the_code_is_that_of_the_commit_or_of_the_working_tree_where_that_had_changes(project: Path) -> None:
    client, was = tracking.connect().MlflowClient(), version().tags["stillhouse.code"]
    code = "pipeline/stages/distill.py"

    def at(revision: str) -> Checked:
        client.set_model_version_tag("sentiment", "1", "stillhouse.code", revision)
        (row,) = (row for row in chain(project) if row.link.startswith("code"))
        return row

    with one_byte_changed(project / code):
        assert (at(was).problem, at(was).where) == (None, "git")
        assert (at(f"{was}-dirty").problem, at(f"{was}-dirty").where) == (None, "git")
        changed = commit(project)
        for revision in (changed, f"{changed}-dirty", "unknown"):
            assert str(at(revision).problem).startswith(f"distill-sentiment ran a {code} of md5 "), revision
    assert (at(f"{changed}-dirty").problem, at(f"{changed}-dirty").where) == (None, "git, the working tree")
    assert (at("unknown").problem, at("unknown").where) == (None, "the working tree")
    assert str(at("0" * 40).problem).startswith(f"git commit {'0' * 40}: not here")
    assert list(broken(project)) == ["code"]
    assert at(was).problem is None
    commit(project)  # as it was


def test_code_that_git_has_not_been_told_of_is_no_commit_s(project: Path) -> None:
    assert "-dirty" not in code_revision()
    for path, dirty in (("pipeline/stages/new.py", True), ("notes.txt", False)):
        (project / path).write_text("new\n", encoding="utf-8")
        assert code_revision().endswith("-dirty") == dirty
        (project / path).unlink()


def test_a_byte_changed_in_an_installed_package_is_named(project: Path) -> None:
    with one_byte_changed(project / "site/tiny_reviews/rows.csv"):
        assert list(broken(project)) == ["tiny-reviews: tiny_reviews/rows.csv"]


def test_a_link_that_is_not_here_is_a_broken_one(project: Path) -> None:
    away = project / "data/raw/away.csv"
    (project / "data/raw/imdb.csv").rename(away)
    found = broken(project)
    away.rename(project / "data/raw/imdb.csv")
    assert list(found) == ["data/raw/imdb.csv"]
    assert found["data/raw/imdb.csv"].startswith("its bytes are not here")


def test_the_workspace_of_a_later_run_is_not_the_version_s(project: Path) -> None:
    """Then the bytes are those of DVC's cache, and a version of last month still verifies."""
    lock, path = project / "dvc.lock", "data/transfer/sentiment.parquet"
    text, content = lock.read_text(encoding="utf-8"), (project / path).read_bytes()
    was = md5_of_file(project / path)
    (project / path).write_bytes(b"of a later run")
    assert list(broken(project)) == [path]
    lock.write_text(text.replace(was, md5_of_file(project / path)), encoding="utf-8")
    found = {row.link: row for row in chain(project)}
    lock.write_text(text, encoding="utf-8")
    (project / path).write_bytes(content)
    assert (found[path].where, found[path].problem) == ("cache", None)


def test_a_stage_that_read_something_else_than_was_written_is_named(project: Path) -> None:
    lock = YAML(typ="safe").load((project / "dvc.lock").read_text(encoding="utf-8"))
    (dep,) = (dep for dep in lock["stages"]["distill-sentiment"]["deps"] if dep["path"] == "models/sentiment/teacher")
    written, dep["md5"] = dep["md5"], "0" * 32 + ".dir"
    links = walk_back(lock, ["models/sentiment/student"]).links
    assert {path: link.mismatches() for path, link in links.items() if link.mismatches()} == {
        "models/sentiment/teacher": [f"distill-sentiment read md5 {dep['md5']}, finetune-sentiment wrote {written}"]
    }


def test_hashes_are_those_of_stillhouse_wherever_the_parts_of_a_folder_lie(project: Path) -> None:
    for path in OUTPUTS:
        copy = in_folder("workspace", project, path)
        assert isinstance(copy, Copy)
        assert copy.sha256() == content_hash(project / path)


def test_lineage_finds_the_version_by_any_hash_of_its_data(project: Path) -> None:
    mlflow, cache = tracking.connect(), project / ".dvc/cache"
    raw, rows = project / "data/raw/imdb.csv", content_hash(project / "data/validated/reviews")
    tokens = in_folder("workspace", project, "data/tokens/corpus")
    package = sha256_of_file(project / "site/tiny_reviews/rows.csv")
    assert tokens is not None
    expected = {
        sha256_of_file(raw): "data/raw/imdb.csv",
        md5_of_file(raw).upper()[:8]: "data/raw/imdb.csv",
        rows: "data/validated/reviews",
        tokens.md5(): "data/tokens/corpus",
        package[:6]: "tiny-reviews: tiny_reviews/rows.csv",
    }
    for digits, link in expected.items():
        ((found, links),) = sightings(mlflow, digits, cache)
        assert (found.version, link in links) == (1, True), digits
    assert sightings(mlflow, "0" * 64, cache) == []


def test_the_commands_say_in_a_line_what_is_wrong_with_what_they_are_asked(project: Path) -> None:
    answers = {
        ("lineage", content_hash(project / "models/tokenizer")[:5]): 2,
        ("lineage", "0" * 64): 1,
        ("lineage", sha256_of_file(project / "constraints.txt")): 0,
        ("verify", "sentiment"): 2,
        ("verify", "sentiment@nobody"): 2,
        ("verify", "sentiment/7"): 2,
        ("verify", "nothing/1"): 2,
    }
    for words, code in answers.items():
        result = CliRunner().invoke(app, words)
        assert result.exit_code == code, words
        assert code == 0 or len(result.output.splitlines()) == 1, result.output


def test_the_stored_files_are_all_there_is(project: Path) -> None:
    """A file that MLflow keeps and the version's tag does not know would be one whose bytes nobody checks."""
    known = version().tags["stillhouse.stored_files"]
    assert read_json(project / "reports/sentiment/registered.json")["registered"]["aliases"] == ["champion"]
    for folder in (
        (project / "mlruns").glob("*/models/*/artifacts"),
        [project / "mlruns" / "1" / version().run_id / "artifacts"],
    ):
        for file in (file for root in folder for file in root.rglob("*") if file.is_file()):
            assert file.name in known or file.suffix == ".pyc" or file.name == "registered_model_meta", file


@pytest.mark.slow
def test_a_whole_run_verifies_and_a_byte_of_it_that_changed_is_named(
    whole_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whole_run)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    whole = stillhouse("verify", "sentiment@champion")
    assert whole.returncode == 0, whole.stderr
    for path in ("models/pretrained", "data/tokens/corpus", "data/ingested/imdb"):
        with one_byte_changed(whole_run / path):
            changed = stillhouse("verify", "sentiment@champion")
        assert (changed.returncode, changed.stderr.count("BROKEN")) == (1, 1)
        assert changed.stderr.startswith(f"stillhouse: {path}: BROKEN, ")
