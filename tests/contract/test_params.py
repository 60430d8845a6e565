"""params.yaml and every recipe are complete, and each mistake is named by its full path."""

import copy
from pathlib import Path
from typing import Any

import pytest

from pipeline.files import InputError
from pipeline.params import check_params, load_params, read_yaml

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "params.yaml", *sorted((ROOT / "recipes").glob("*.yaml"))]
DEFAULT = read_yaml(ROOT / "params.yaml")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_parameters_are_valid(path: Path) -> None:
    load_params(path)


def changed(key: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(DEFAULT)
    *parents, last = key.split(".")
    section = values
    for parent in parents:
        section = section[parent]
    section[last] = value
    return values


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("tasks.sentiment.distill.temperature", -2, "tasks.sentiment.distill.temperature: must be > 0, got -2"),
        ("tasks.sentiment.distill.temperature", 0, "tasks.sentiment.distill.temperature: must be > 0, got 0"),
        ("runtime.threads", "two", "runtime.threads: must be a valid integer, got 'two'"),
        ("runtime.seed", "17", "runtime.seed: must be a valid integer, got '17'"),
        ("runtime.sede", 1, "runtime.sede: unknown key"),
        ("datasets.imdb.source.sha256", "abc", "datasets.imdb.source.sha256: "),
        ("corpus.dataset", "wikipedia", "corpus.dataset: must be one of ['imdb', 'rotten_tomatoes'], got wikipedia"),
        ("tasks.sentiment.labels", ["good", "bad"], "tasks.sentiment.labels: must be the labels of datasets."),
        ("tasks.sentiment.student.architecture.attention_heads", 5, "attention_heads must divide hidden_size"),
        ("tasks.sentiment.finetune.dropout", 0.0, "tasks.sentiment.finetune: dropout must be > 0 when consistency has"),
        ("tokenizer.kind", "bpe", "tokenizer"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(key: str, value: Any, expected: str) -> None:
    with pytest.raises(InputError) as error:
        check_params(changed(key, value), Path("params.yaml"))
    assert str(error.value).startswith("params.yaml: ")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_key_is_named() -> None:
    values = copy.deepcopy(DEFAULT)
    del values["tasks"]["sentiment"]["gate"]["margin"]
    with pytest.raises(InputError, match=r"tasks\.sentiment\.gate\.margin: missing key"):
        check_params(values, Path("params.yaml"))


def test_a_student_wider_than_its_teacher_is_refused() -> None:
    values = read_yaml(ROOT / "recipes" / "sentiment-from-scratch.yaml")
    values["tasks"]["sentiment"]["student"]["architecture"] |= {"hidden_size": 1024, "attention_heads": 8}
    expected = r"student\.architecture\.hidden_size: must be <= \d+, the teacher's, got 1024"
    with pytest.raises(InputError, match=expected):
        check_params(values, Path("params.yaml"))


def test_numbers_are_read_as_dvc_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: 5e-05\nb: 5e-4\n", encoding="utf-8")
    assert read_yaml(path) == {"a": 5e-05, "b": 5e-4}


@pytest.mark.parametrize("text", ["a: [1\n", "- 1\n", "", "a: 1\na: 2\n"])
def test_what_is_no_mapping_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"params\.yaml") as error:
        load_params(path)
    assert "\n" not in str(error.value)
