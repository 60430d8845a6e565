"""The gate's figure and the slices of a task are those that its type has."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.files import InputError
from pipeline.params import check_params, load_params, read_yaml
from tests.span_dataset import SPAN_DATASET

ROOT = Path(__file__).parents[2]


def values(type_: str, metric: str, slices: list[str], gaps: dict[str, float]) -> dict[str, Any]:
    found = load_params(ROOT / "params.yaml").model_dump()
    task = found["tasks"]["sentiment"]
    task["type"] = type_
    task["evaluate"] |= {"slices": slices, "identity_groups": []}
    if type_ == "token_classification":
        found["datasets"][task["dataset"]] |= SPAN_DATASET
    task["gate"] |= {"metric": metric, "max_accuracy_gaps": gaps}
    return found


@pytest.mark.parametrize(
    ("type_", "metric", "slices", "expected"),
    [
        (
            "text_classification",
            "span_f1",
            [],
            "gate.metric must be one of accuracy, macro_f1 for text_classification, got span_f1",
        ),
        (
            "token_classification",
            "accuracy",
            [],
            "gate.metric must be one of span_f1 for token_classification, got acc",
        ),
        (
            "question_answering",
            "span_f1",
            [],
            "gate.metric must be one of token_f1, exact_match for question_answering, got span_f1",
        ),
        (
            "token_classification",
            "span_f1",
            ["source", "label"],
            "evaluate.slices must be one of source, length for token_classification, got label",
        ),
    ],
)
def test_figures_and_slices_of_another_type_are_named(
    type_: str, metric: str, slices: list[str], expected: str
) -> None:
    with pytest.raises(InputError, match=rf"tasks\.sentiment: {expected}"):
        check_params(values(type_, metric, slices, {}), Path("params.yaml"))


def test_any_number_of_labels_comes_from_a_column_of_their_own() -> None:
    found = values("multi_label_classification", "micro_f1", ["label"], {"label": 0.5})
    columns = found["datasets"]["rotten_tomatoes"]["columns"]
    with pytest.raises(InputError, match=r"columns\.labels: must be given for tasks\.sentiment, a multi_label_class"):
        check_params(found, Path("params.yaml"))
    columns["labels"] = "topics"
    with pytest.raises(InputError, match=r"columns\.label must be null where columns\.labels is given, got label"):
        check_params(found, Path("params.yaml"))
    columns["label"] = None
    check_params(found, Path("params.yaml"))
    found["datasets"]["rotten_tomatoes"]["labels"] = {"0": "negative"}
    with pytest.raises(InputError, match=r"labels must name at least 2 classes"):
        check_params(found, Path("params.yaml"))


def test_markers_of_rows_are_those_of_the_tokenizer_and_nothing_else_is_read() -> None:
    found = values("text_classification", "accuracy", [], {})
    found["tasks"]["sentiment"]["transfer"] |= {"sentences": 0, "recombined": 5}
    found["datasets"]["rotten_tomatoes"]["markers"] = ["[E1]"]
    with pytest.raises(InputError, match=r"markers: must be among tokenizer\.markers \['\[E2\]'\], got \[E1\]"):
        check_params(found | {"tokenizer": found["tokenizer"] | {"markers": ["[E2]"]}}, Path("params.yaml"))
    found["tokenizer"]["markers"] = ["[E1]", "[E2]"]
    with pytest.raises(InputError, match=r"transfer\.recombined: must be 0 where datasets\.rotten_tomatoes\.markers"):
        check_params(found, Path("params.yaml"))
    found["tasks"]["sentiment"]["transfer"]["recombined"] = 0
    check_params(found, Path("params.yaml"))
    found["tokenizer"]["markers"] = ["two words"]
    with pytest.raises(InputError, match=r"tokenizer\.markers\.0: "):
        check_params(found, Path("params.yaml"))


def test_gaps_are_limited_where_slices_are_measured_only() -> None:
    check_params(values("token_classification", "span_f1", ["length"], {"length": 0.1}), Path("params.yaml"))
    with pytest.raises(InputError, match=r"max_accuracy_gaps\.source must be one of evaluate.slices"):
        check_params(values("token_classification", "span_f1", ["length"], {"source": 0.1}), Path("params.yaml"))


def test_slices_are_groupings_or_columns_that_the_rows_keep() -> None:
    found = values("text_classification", "accuracy", ["length", "city"], {"city": 0.1})
    expected = (
        r"tasks\.sentiment\.evaluate\.slices: must be of source, label, length and "
        r"datasets\.rotten_tomatoes\.columns\.metadata \['town'\], got city$"
    )
    found["datasets"]["rotten_tomatoes"]["columns"]["metadata"] = ["town"]
    with pytest.raises(InputError, match=expected):
        check_params(found, Path("params.yaml"))
    found["datasets"]["rotten_tomatoes"]["columns"]["metadata"] = ["town", "city"]
    check_params(found, Path("params.yaml"))


def test_rows_are_weighted_by_a_column_that_they_keep_or_by_terms_of_single_texts() -> None:
    found = values("text_classification", "accuracy", [], {})
    task, columns = found["tasks"]["sentiment"], found["datasets"]["rotten_tomatoes"]["columns"]
    task["mitigation"]["reweight_by_column"] = "city"
    expected = r"mitigation\.reweight_by_column: must be of datasets\.rotten_tomatoes\.columns\.metadata \[\], got city"
    with pytest.raises(InputError, match=expected):
        check_params(found, Path("params.yaml"))
    columns["metadata"] = ["city"]
    check_params(found, Path("params.yaml"))
    task["mitigation"]["reweight_by_terms"] = "gender"
    with pytest.raises(InputError, match="reweight_by_terms must be null where reweight_by_column is given"):
        check_params(found, Path("params.yaml"))
    task["mitigation"]["reweight_by_column"] = None
    columns["pair"] = "question"
    with pytest.raises(InputError, match=r"mitigation\.reweight_by_terms: must be off where datasets\."):
        check_params(found, Path("params.yaml"))


def test_a_family_that_does_not_read_ahead_answers_no_questions() -> None:
    recipe = read_yaml(ROOT / "recipes/xquad.yaml")
    check_params(recipe, Path("params.yaml"))
    recipe["tasks"]["answers"]["student"]["architecture"]["family"] = "gpt"
    expected = r"student\.architecture\.family: must be bert or roberta or modernbert for question_answering, got gpt"
    with pytest.raises(InputError, match=expected):
        check_params(recipe, Path("params.yaml"))


@pytest.mark.parametrize("column", ["pair", "spans"])
def test_questions_and_the_places_of_their_answers_are_named(column: str) -> None:
    recipe = read_yaml(ROOT / "recipes/xquad.yaml")
    del recipe["datasets"]["xquad"]["columns"][column]
    recipe["datasets"]["xquad"]["labels"] = None if column == "spans" else {"answer": "answer"}
    expected = rf"columns\.{column}: must be given for tasks\.answers|tasks\.answers\.labels"
    with pytest.raises(InputError, match=expected):
        check_params(recipe, Path("params.yaml"))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("evaluate.identity_groups", ["gender"], r"evaluate\.identity_groups: must be \[\] for token_classification"),
        ("mitigation.rows", True, "mitigation.rows: must be false for token_classification, got true"),
        (
            "mitigation.reweight_by_column",
            "city",
            "mitigation.reweight_by_column: must be null for token_classification, got city",
        ),
        *(
            (f"gate.{key}", 0.1, rf"gate\.{key}: must be null when evaluate\.identity_groups is \[\]")
            for key in ("max_flip_rate", "max_flip_rate_increase")
        ),
    ],
)
def test_people_are_exchanged_where_a_text_has_a_label_only(key: str, value: object, expected: str) -> None:
    found = values("token_classification", "span_f1", [], {})
    section, name = key.split(".")
    found["tasks"]["sentiment"][section][name] = value
    with pytest.raises(InputError, match=rf"tasks\.sentiment: {expected}"):
        check_params(found, Path("params.yaml"))


def test_people_are_exchanged_where_layers_are_compared_but_not_in_pairs() -> None:
    found = values("text_classification", "accuracy", [], {})
    task = found["tasks"]["sentiment"]
    task["mitigation"]["transfer"] = True
    check_params(found, Path("params.yaml"))
    task["student"]["architecture"]["attention_heads"] = 12
    task["distill"] |= {"layer_map": [[1, 3]], "losses": task["distill"]["losses"] | {"attentions": 0.3}}
    check_params(found, Path("params.yaml"))
    found["datasets"]["rotten_tomatoes"]["columns"]["pair"] = "question"
    expected = r"tasks\.sentiment\.mitigation\.transfer: must be off where datasets\.rotten_tomatoes\.columns\.pair"
    with pytest.raises(InputError, match=expected):
        check_params(found, Path("params.yaml"))


@pytest.mark.parametrize(
    ("type_", "metric", "thresholds", "expected"),
    [
        ("text_classification", "accuracy", {"odd": 0.5}, r"thresholds\.odd: must be one of labels \['negative', 'pos"),
        ("text_classification", "accuracy", {"negative": 1.5}, r"thresholds\.negative: must be < 1, got 1\.5"),
        ("text_classification", "accuracy", {"negative": "high"}, r"thresholds\.negative: must be a valid number, got"),
        (
            "token_classification",
            "span_f1",
            {"negative": 0.5},
            r"thresholds: must be \{\} for token_classification, got",
        ),
    ],
)
def test_thresholds_are_probabilities_of_labels(type_: str, metric: str, thresholds: Any, expected: str) -> None:
    found = values(type_, metric, [], {})
    assert load_params(ROOT / "params.yaml").tasks["sentiment"].thresholds == {}
    found["tasks"]["sentiment"]["thresholds"] = thresholds
    with pytest.raises(InputError, match=expected) as error:
        check_params(found, Path("params.yaml"))
    assert "\n" not in str(error.value)


def test_a_calibration_is_one_that_there_is() -> None:
    found = values("text_classification", "accuracy", [], {})
    found["tasks"]["sentiment"]["calibration"] = "platt"
    with pytest.raises(
        InputError, match=r"tasks\.sentiment\.calibration: must be 'temperature' or 'none', got 'platt'"
    ):
        check_params(found, Path("params.yaml"))
