"""`stillhouse use`: recipes and data of one's own become params.yaml, and no edit gets lost."""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli.own_data import use_data
from pipeline.cli.progress import planned_stages
from pipeline.cli.recipe import use_recipe
from pipeline.drivers import RECIPE_TIMINGS, SHIPPED_TIMINGS, expected_seconds
from pipeline.files import InputError
from pipeline.params import load_params, read_yaml

PROJECT = Path(__file__).parents[2]
RECIPES = PROJECT / "recipes"
RECIPE = RECIPES / "sentiment-from-scratch.yaml"
SNIPS = ("train.txt", "dev.txt", "test.txt")  # what recipes/snips-*.yaml and two-tasks.yaml read


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose params.yaml is committed, as the current folder."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (folder / "dvc.yaml").write_text("stages: {}\n")
    shutil.copy(PROJECT / "params.yaml", folder)
    monkeypatch.chdir(folder)
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        [*["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"]],
    ):
        subprocess.run(["git", *command], check=True)
    return folder


def test_a_recipe_becomes_params_and_edits_are_not_lost(project: Path) -> None:
    params = project / "params.yaml"
    use_recipe(RECIPE, None, force=True)
    assert params.read_bytes() == RECIPE.read_bytes()
    with pytest.raises(InputError, match="not committed"):
        use_recipe(RECIPE, None, force=False)
    (project / "recipes").mkdir()
    shutil.copy(RECIPE, project / "recipes/scratch.yaml")
    use_recipe(RECIPE, None, force=False)  # what stands in recipes/ is not lost


def test_a_wrong_recipe_changes_nothing(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    wrong = project / "wrong.yaml"
    wrong.write_text(RECIPE.read_text().replace("seed: 17", "seed: x"))
    with pytest.raises(InputError, match=r"wrong.yaml: runtime.seed"):
        use_recipe(wrong, None, force=False)
    assert (project / "params.yaml").read_bytes() == before


def folder_with(folder: Path, *names: str) -> Path:
    """Make a folder with files that hold their own names."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize("recipe", ["snips-slots", "two-tasks"])
def test_a_recipe_takes_its_files_from_a_folder(project: Path, tmp_path: Path, recipe: str) -> None:
    data = folder_with(tmp_path / "download", *SNIPS, "README.md")
    use_recipe(RECIPES / f"{recipe}.yaml", data, force=False)
    there = project / "data/raw/snips-slu"
    assert {file.name: file.read_text() for file in there.iterdir()} == {name: name for name in SNIPS}
    assert (project / "data/raw/snips-slu.dvc").is_file()
    assert (project / "params.yaml").read_bytes() == (RECIPES / f"{recipe}.yaml").read_bytes()


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_recipe_of_one_file_takes_a_folder_or_the_file_by_any_name(
    project: Path, tmp_path: Path, as_folder: bool
) -> None:
    data = folder_with(tmp_path / "download", "sms.tsv" if as_folder else "SMSSpamCollection")
    use_recipe(RECIPES / "sms-spam.yaml", data if as_folder else data / "SMSSpamCollection", force=False)
    assert (project / "data/raw/sms.tsv").is_file() and (project / "data/raw/sms.tsv.dvc").is_file()


@pytest.mark.parametrize(
    ("recipe", "files", "chosen", "expected"),
    [
        ("snips-slots", ["train.txt"], "", "dev.txt, test.txt of data/raw/snips-slu, from .*StackPropagation-SLU"),
        ("snips-slots", ["train.txt"], "train.txt", "one file, expected a folder with dev.txt, test.txt, train.txt"),
        ("sms-spam", ["sms.tsv.gz"], "sms.tsv.gz", "gzipped only if data/raw/sms.tsv is"),
        ("sms-spam", [], "nowhere", "sms.tsv of data/raw/sms.tsv, from archive.ics.uci.edu"),
        ("chinese-sentiment", [], "", "expected none, as the recipe reads no file of data/raw/"),
    ],
)
def test_what_the_data_of_a_recipe_lack_is_named_and_nothing_changes(
    project: Path, tmp_path: Path, recipe: str, files: list[str], chosen: str, expected: str
) -> None:
    data = folder_with(tmp_path / "download", *files)
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(InputError, match=expected) as error:
        use_recipe(RECIPES / f"{recipe}.yaml", data / chosen, force=False)
    assert "\n" not in str(error.value)
    assert (project / "params.yaml").read_bytes() == before
    assert not (project / "data").exists()


def test_without_data_use_says_what_to_get_and_where(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    use_recipe(RECIPES / "wnut17.yaml", None, force=False)
    first, second = capsys.readouterr().out.splitlines()
    assert (project / "params.yaml").read_bytes() == (RECIPES / "wnut17.yaml").read_bytes()
    assert first.endswith("it lacks data:")
    assert "get emerging.dev.conll, emerging.test.annotated, wnut17train.conll" in second
    assert "leondz/emerging_entities_17 on GitHub (CC BY 4.0)" in second and "wnut17.yaml --data FOLDER" in second

    use_recipe(RECIPES / "chinese-sentiment.yaml", None, force=True)  # an installed package has its rows
    assert capsys.readouterr().out.endswith("`make run` does the rest\n")
    expected = expected_seconds(["finetune@chinese_sentiment", "distill@chinese_sentiment"])
    assert {stage: RECIPE_TIMINGS["chinese-sentiment"][stage] for stage in expected} == expected


@pytest.mark.parametrize("recipe", sorted(RECIPE_TIMINGS))
def test_what_is_known_of_a_recipes_times_is_of_its_stages(recipe: str) -> None:
    tasks = read_yaml(RECIPES / f"{recipe}.yaml")["tasks"]
    for stage in ("tokenize", "finetune", "distill", "evaluate", "register"):
        assert {f"{stage}@{task}" for task in tasks} <= RECIPE_TIMINGS[recipe].keys()


def test_the_data_of_another_recipe_stay(project: Path, tmp_path: Path) -> None:
    use_recipe(RECIPES / "snips-slots.yaml", folder_with(tmp_path / "requests", *SNIPS), force=False)
    use_recipe(RECIPES / "sms-spam.yaml", folder_with(tmp_path / "messages", "sms.tsv"), force=True)
    assert (project / "data/raw/snips-slu/train.txt").is_file() and (project / "data/raw/sms.tsv").is_file()


def rows(count: int, labels: list[str]) -> list[dict[str, str]]:
    """Different sentences, the labels in turn."""
    generator = random.Random(1)
    words = ["parcel", "late", "happy", "broken", "colour", "fits", "again", "never", "cheap", "solid"]
    texts = [f"{number} {' '.join(generator.choices(words, k=8))}" for number in range(count)]
    return [{"review": text, "stars": labels[number % len(labels)]} for number, text in enumerate(texts)]


def write_delimited(path: Path, table: list[dict[str, str]], delimiter: str) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(table)


def write_parquet(path: Path, table: list[dict[str, str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(table), path)


WRITERS: dict[str, Callable[[Path, list[dict[str, str]]], object]] = {
    "csv": lambda path, table: write_delimited(path, table, ","),
    "tsv": lambda path, table: write_delimited(path, table, "\t"),
    "jsonl": lambda path, table: path.write_text("".join(json.dumps(row) + "\n" for row in table)),
    "parquet": write_parquet,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_own_data_become_task_and_corpus(project: Path, tmp_path: Path, kind: str) -> None:
    data = tmp_path / f"Shop Reviews.{kind}"
    WRITERS[kind](data, rows(300, ["good", "bad", "so-so"]))
    use_data(data, text="review", label="stars", name=None, force=False)

    params = load_params(project / "params.yaml")
    dataset, task = params.datasets["shop-reviews"], params.tasks["shop-reviews"]
    assert (list(params.datasets), list(params.tasks)) == (["shop-reviews"], ["shop-reviews"])
    assert dataset.path == f"data/raw/shop-reviews.{kind}"
    assert dataset.source.model_dump(exclude_defaults=True) == {
        "kind": "file",
        "format": kind,
        "header": None,
        "files": None,
        "origin": None,
    }
    assert dict(dataset.columns.named) == {"text": "review", "label": "stars"}
    assert task.labels == ["bad", "good", "so-so"] and params.corpus.dataset == task.dataset == "shop-reviews"
    assert (project / dataset.path).read_bytes() == data.read_bytes()
    assert (project / f"{dataset.path}.dvc").is_file()
    assert task.gate.min_rows == 30
    assert "# part of the result: another number of threads" in (project / "params.yaml").read_text()
    git = subprocess.run(["git", "status", "--short"], capture_output=True, text=True, check=True).stdout
    assert f"shop-reviews.{kind}\n" not in git  # DVC keeps the rows, git their hash


def test_own_data_after_a_recipe_for_spans_become_text_classification(project: Path, tmp_path: Path) -> None:
    use_recipe(RECIPES / "snips-slots.yaml", None, force=False)
    data = tmp_path / "reviews.csv"
    write_delimited(data, rows(300, ["good", "bad"]), ",")
    use_data(data, text="review", label="stars", name=None, force=True)
    params = load_params(project / "params.yaml")
    task = params.tasks["reviews"]
    assert (task.type, task.gate.metric, task.labels) == ("text_classification", "accuracy", ["bad", "good"])
    assert params.datasets["reviews"].span_labels == []


@pytest.mark.parametrize(
    ("table", "options", "expected"),
    [
        (rows(300, ["a", "b"]), {"text": "body"}, r"column 'body'.*missing, found the columns \['review', 'stars'\]"),
        (rows(40, ["a", "b"]), {}, "40 different texts, expected at least 200"),
        (rows(300, ["a"]), {}, "holds one class, 'a'"),
        (rows(300, [str(number) for number in range(150)]), {}, "150 different values in 300 rows.*a label column?"),
        (rows(300, ["a"] * 99 + ["b"]), {}, "3 rows of class 'b', expected at least 20"),
        (rows(300, ["a", ""]), {}, "row 2: no value in column 'stars'"),
        (rows(300, ["a", "b"]), {"name": "corpus"}, "--name"),
    ],
)
def test_unfit_data_are_refused_and_change_nothing(
    project: Path, tmp_path: Path, table: list[dict[str, str]], options: dict[str, str], expected: str
) -> None:
    data = tmp_path / "reviews.csv"
    write_delimited(data, table, ",")
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(InputError, match=expected) as error:
        use_data(data, **{"text": "review", "label": "stars", "name": None, "force": False, **options})
    assert "\n" not in str(error.value) and ".stillhouse" not in str(error.value)
    assert (project / "params.yaml").read_bytes() == before
    assert not (project / "data").exists()


def test_help_names_every_command() -> None:
    shown = subprocess.run([sys.executable, "-m", "pipeline.cli", "--help"], capture_output=True, text=True, check=True)
    for command in ("run", "quick", "report", "use", "predict", "doctor", "ui"):
        assert command in shown.stdout


def test_pages_end_with_a_line_where_a_server_does_not_start() -> None:
    servers = {"PREFECT_API_URL": "http://127.0.0.1:1/api", "MLFLOW_TRACKING_URI": "nonsense://nowhere"}
    command = [sys.executable, "-m", "pipeline.cli", "ui"]
    ended = subprocess.run(command, env=os.environ | servers, capture_output=True, text=True)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("stillhouse: RuntimeError: the server of MLflow's pages ended:") and "nonsense" in line


def test_the_first_run_shows_the_time_that_was_estimated(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "reviews.csv"
    write_delimited(data, rows(300, ["a", "b"]), ",")
    use_data(data, text="review", label="stars", name=None, force=False)
    stages = planned_stages(read_yaml(project / "params.yaml"))
    shown = sum(expected_seconds(stages).values())
    assert f"about {max(1, round(shown / 60))} min" in capsys.readouterr().out
    assert shown < sum(SHIPPED_TIMINGS["run"].values()) / 2, "300 rows are no 8,530"
