"""`stillhouse score` over a list of files on a storage: the answers to each file, and what a killed run leaves done."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.files import InputError, read_json
from pipeline.registry import champion
from pipeline.scoring import scorer
from pipeline.scoring.batch import score
from pipeline.scoring.listed import score_listed
from pipeline.scoring.scorer import Scorer
from pipeline.storage import Storage
from tests.registered_students import make_champion, register_student, registry_in
from tests.tiny_students import save_label_student

ROOT = Path(__file__).parents[2]
NAMES = ["first.parquet", "second.csv", "more/third.jsonl"]


@pytest.fixture(scope="module", autouse=True)
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a registered student, entered."""
    root = tmp_path_factory.mktemp("project")
    with registry_in(root) as mlflow:
        (root / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        save_label_student(root / "student")
        register_student(mlflow, "sentiment", root / "student")
        make_champion(mlflow, "sentiment")
        yield root


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with NAMES below `in`, of 40 rows each, every tenth of them blank; `files.sha256` lists them."""
    monkeypatch.setattr(scorer, "SHARD_ROWS", 16)
    (tmp_path / "in/more").mkdir(parents=True)
    lines = []
    for number, name in enumerate(NAMES):
        texts = [" ".join(["in new york"] * ((row + number) % 10)) or " " for row in range(40)]
        rows, path = pd.DataFrame({"id": range(40), "text": texts}), tmp_path / "in" / name
        if path.suffix == ".jsonl":
            rows.to_json(path, orient="records", lines=True)
        else:
            {".csv": rows.to_csv, ".parquet": rows.to_parquet}[path.suffix](path, index=False)
        lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n")
    (tmp_path / "files.sha256").write_text("".join(lines))
    return tmp_path


def score_all(storage: Path, out: str = "out") -> Any:
    urls = {"source_url": f"file://{storage}/in", "out_url": f"file://{storage}/{out}"}
    return score_listed(Scorer("sentiment", threads=1), storage / "files.sha256", storage / f"{out}.sha256", **urls)


def test_each_file_is_answered_as_it_is_by_itself(storage: Path) -> None:
    scored = score_all(storage)
    assert (scored.tally.rows, scored.tally.set_aside) == (108, 12)
    aside = []
    for name in NAMES:
        alone = storage / "alone" / name
        score(Scorer("sentiment", threads=1), storage / "in" / name, alone)
        assert (storage / "out" / name).read_bytes() == alone.read_bytes()
        aside += [{"file": name} | row for row in lines_of(alone.with_suffix(".set_aside.jsonl"))]
    assert lines_of(storage / "out.set_aside.jsonl") == aside and len(aside) == 12
    listed = [line.split("  ") for line in (storage / "out.sha256").read_text().splitlines()]
    assert [name for _, name in listed] == NAMES
    assert all(hashlib.sha256((storage / "out" / name).read_bytes()).hexdigest() == sha for sha, name in listed)
    assert not [*Path(".stillhouse/checkpoints").glob("score*/*")]
    runs = [read_json(file) for file in Path("reports/monitor/sentiment").glob("*.json")]
    (whole,) = (run for run in runs if run["source"].endswith("files.sha256"))  # one run, and not one a file
    assert whole["tally"]["rows"] == 108


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("at", [2, 5, 8])
def test_a_run_that_failed_goes_on_in_the_file_where_it_stopped(
    storage: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Each file has three shards; those answered before are not asked for again, nor is a file that is done fetched."""
    score_all(storage, "whole")
    asked, fetched = list[int](), list[str]()
    answer, fetch = champion.Champion.answer, Storage.fetch

    def failing(self: champion.Champion, texts: list[dict[str, str]]) -> list[dict[str, Any]]:
        asked.append(len(texts))
        if len(asked) == at:
            raise OSError("the power fails")
        return answer(self, texts)

    def noted(self: Storage, name: str, target: Path, sha256: str) -> None:
        fetched.append(name)
        fetch(self, name, target, sha256)

    monkeypatch.setattr(champion.Champion, "answer", failing)
    monkeypatch.setattr(Storage, "fetch", noted)
    with pytest.raises(OSError, match="the power fails"):
        score_all(storage)
    assert not (storage / "out.sha256").exists()
    assert score_all(storage).tally.rows == 108
    assert sum(asked) == 108 + asked[at - 1]
    stopped = (at - 1) // 3
    assert fetched == NAMES[: stopped + 1] + NAMES[stopped:]
    for name in NAMES:
        assert (storage / "out" / name).read_bytes() == (storage / "whole" / name).read_bytes()


def test_a_file_that_could_not_be_written_back_is_written_whole_the_next_time(storage: Path) -> None:
    score_all(storage, "whole")
    (storage / "out").mkdir()
    (storage / "out/more").write_text("in the place of a folder")
    with pytest.raises(InputError, match=r"/out/more/third\.jsonl: .+, expected a storage that answers"):
        score_all(storage)
    (storage / "out/more").unlink()
    score_all(storage)
    for name in NAMES:
        assert (storage / "out" / name).read_bytes() == (storage / "whole" / name).read_bytes()


def test_a_file_that_was_answered_goes_before_the_next_one_comes(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, fetch = list[int](), Storage.fetch

    def noted(self: Storage, name: str, target: Path, sha256: str) -> None:
        fetch(self, name, target, sha256)
        held.append(len([*Path(".stillhouse/checkpoints").glob("score@*/*/*put.*")]))

    monkeypatch.setattr(Storage, "fetch", noted)
    score_all(storage)
    assert held == [1, 1, 1]


def test_what_is_wrong_is_said_in_a_line(storage: Path) -> None:
    inside, outside = f"file://{storage}/in", f"file://{storage}/out"
    (storage / "in/more/third.jsonl").write_text('{"words": "in"}\n')
    (storage / "in/fourth.tsv").write_text("words\nin\n")
    sha256 = hashlib.sha256((storage / "in/fourth.tsv").read_bytes()).hexdigest()
    (storage / "fourth.sha256").write_text(f"{sha256}  fourth.tsv\n")
    (storage / "text.sha256").write_text(f"{sha256}  fourth.txt\n")
    (storage / "none.sha256").write_text("")
    (storage / "other.sha256").write_text(f"{sha256}  third.jsonl\n")
    both = ["--source-url", inside, "--out-url", outside]
    for source, options, expected in (
        ("files.sha256", both, f"{inside}/more/third.jsonl: 16 bytes with sha256 "),
        ("fourth.sha256", both, f"{inside}/fourth.tsv: column 'text' is missing, found the columns ['words']"),
        ("text.sha256", both, "line 1: fourth.txt, expected a file that ends in .parquet, .csv, .tsv, .jsonl"),
        ("none.sha256", both, "none.sha256: empty file, expected rows"),
        ("other.sha256", both, f"{inside}/third.jsonl: no such file, expected it on the storage (--source-url)"),
        ("files.sha256", both[:2], "expected --out-url with a list of files (.sha256), and with it alone"),
        ("a.csv", both, "expected --source-url with a list of files (.sha256), and with it alone"),
        ("files.sha256", [*both[:3], inside], f"--out-url: {inside} is where the input lies, expected another folder"),
        ("files.sha256", [*both[:3], "out"], "--out-url: out, expected s3://BUCKET/FOLDER or file:///FOLDER"),
    ):
        refused = CliRunner().invoke(app, ["score", str(storage / source), str(storage / "out.sha256"), *options])
        *progress, line = refused.output.splitlines()
        assert refused.exit_code == 2 and expected in line, (source, options, refused.output)
        assert all(shown.startswith("score sentiment ") for shown in progress), refused.output
    assert not (storage / "out.sha256").exists()
