"""The registered student as MLflow loads it: labels or spans, as its folder has it, on answers worked out by hand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.types.schema import Array, Object
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.files import InputError, write_json, write_text
from pipeline.registry import champion, served_model
from pipeline.tasks import TASKS
from pipeline.tokenization.encoding import encode_words
from pipeline.tokenization.folder import load_tokenizer
from pipeline.training.prediction import predict_logits
from pipeline.words import words
from tests.registered_students import make_champion, register_student, registry_in
from tests.tiny_students import (
    BEGIN,
    INSIDE,
    LABELS,
    MAX_LENGTH,
    NAMES,
    TOPICS,
    save_bilstm_student,
    save_gpt_student,
    save_label_student,
    save_span_student,
    save_topic_student,
)

STUDENTS = {
    "slots": save_span_student,
    "sentiment": save_label_student,
    "gpt": save_gpt_student,
    "topics": save_topic_student,
    "bilstm": save_bilstm_student,
}
ELSEWHERE = """
import json, sys
import mlflow, pandas

mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
answers = model.predict(pandas.DataFrame({"text": json.loads(sys.argv[3])}))
print(json.dumps([answers["spans"].tolist(), [*sys.modules]]))
"""
ROOT = Path(__file__).parents[2]
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(" ,.-_'9é\u0301東京かナ한😀\x00\u200d"), max_size=40
)
SENTENCES = st.lists(
    st.sampled_from(["Play", "Madonna", "keys", "Paris", "NEW", "York", "东京", ",", "it's", "\x00", " ", "\t", "x"]),
    min_size=1,
    max_size=14,
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """MLflow with a version of each student; `slots` finds spans, the others label texts."""
    root = tmp_path_factory.mktemp("registry")
    with registry_in(root) as mlflow:
        for name, save_student in STUDENTS.items():
            save_student(root / name)
            register_student(mlflow, name, root / name)
            make_champion(mlflow, name)
        yield mlflow


@pytest.fixture(scope="module")
def slots(registry: Any) -> Any:
    return registry.pyfunc.load_model("models:/slots@champion")


def spans(model: Any, text: str) -> list[dict[str, Any]]:
    answers = model.predict(pd.DataFrame({"text": [text]}))
    assert list(answers.columns) == ["spans"]
    return list(answers["spans"][0])


def found(model: Any, text: str) -> list[tuple[str, str]]:
    return [(span["label"], span["text"]) for span in spans(model, text)]


def test_a_span_has_its_place_its_text_and_the_mean_probability_of_its_words(slots: Any) -> None:
    assert spans(slots, "Play Madonna in New York") == [
        {"start": 5, "end": 12, "label": "artist", "text": "Madonna", "score": pytest.approx(BEGIN)},
        {"start": 16, "end": 24, "label": "city", "text": "New York", "score": pytest.approx((BEGIN + INSIDE) / 2)},
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("play it", []),
        ("Paris", [("city", "Paris")]),  # its second piece says I-artist, the first one decides
        ("york", []),  # an I-tag begins nothing
        ("madonna york", [("artist", "madonna")]),  # nor does it go on with another label
        ("new keys york", [("city", "new")]),  # nor after one
        ("new, york", [("city", "new")]),
        ("new play york", [("city", "new")]),
        ("new new york", [("city", "new"), ("city", "new york")]),
        ("madonna keys keys", [("artist", "madonna keys keys")]),
        ("东京", [("city", "东京")]),  # two words
        ("  PARIS\tnéw  Yörk\n", [("city", "PARIS"), ("city", "néw  Yörk")]),  # as the text has them
        ("\x00 \x07", []),  # the tokenizer leaves both out
    ],
)
def test_spans_are_what_the_first_pieces_of_words_spell_strictly(
    slots: Any, text: str, expected: list[tuple[str, str]]
) -> None:
    assert found(slots, text) == expected


def test_what_is_beyond_the_longest_row_has_no_spans(slots: Any) -> None:
    room = MAX_LENGTH - 2
    assert found(slots, "in " * (room - 2) + "new york") == [("city", "new york")]
    assert found(slots, "in " * (room - 1) + "new york") == [("city", "new")]
    assert found(slots, "in " * (room - 1) + "Paris") == [("city", "Paris")]  # its first piece is the last there
    assert found(slots, "in " * room + "new york") == []


def test_each_text_gets_its_own_answer_whatever_stands_beside_it(slots: Any) -> None:
    texts = ["in " * (row % 9) + ("new york", "madonna", "it")[row % 3] for row in range(50)]
    together = slots.predict(pd.DataFrame({"text": texts}))["spans"].tolist()
    for text, answer in zip(texts, together, strict=True):
        assert [(span["start"], span["end"], span["text"]) for span in answer] == [
            (span["start"], span["end"], span["text"]) for span in spans(slots, text)
        ]
    nothing = slots.unwrap_python_model().predict(None, pd.DataFrame({"text": []}))
    assert list(nothing.columns) == ["spans"] and len(nothing) == 0


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(TEXTS)
def test_words_are_those_that_students_are_taught(text: str) -> None:
    assert [match.span() for match in served_model.WORD.finditer(text)] == words(text)


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(SENTENCES)
def test_spans_are_those_that_evaluate_finds(slots: Any, pieces: list[str]) -> None:
    """The same texts through the pipeline's own encoding and decoding."""
    text, folder = " ".join(pieces), Path("slots")
    task = TASKS["token_classification"]()(LABELS)
    rows = encode_words(load_tokenizer(folder)[0], [text], [[-1] * len(words(text))], MAX_LENGTH)
    if not text.strip() or not len(rows.labels):
        return
    logits = predict_logits(task.load(folder), rows, batch_size=1, pad_token_id=0, dtype=torch.float32)
    served = [(span["start"], span["end"], span["label"]) for span in spans(slots, text)]
    assert task.answers(logits, rows, [text]) == [served]


def test_a_family_that_transformers_does_not_have_is_served_where_this_project_is_not(registry: Any) -> None:
    texts = ["play madonna in paris", "it", "new york , new york", "in new york play it in paris"]
    uri = f"sqlite:///{Path.cwd()}/mlflow.db"
    command = [sys.executable, "-c", ELSEWHERE, uri, "models:/bilstm@champion", json.dumps(texts)]
    out = subprocess.run(command, capture_output=True, check=True, text=True, cwd="/", env={"PATH": "/usr/bin:/bin"})
    served, modules = json.loads(out.stdout.splitlines()[-1])
    assert "bilstm" in modules and not any(name.split(".")[0] == "pipeline" for name in modules)
    task = TASKS["token_classification"]()(LABELS)
    rows = encode_words(load_tokenizer(Path("bilstm"))[0], texts, [[-1] * len(words(t)) for t in texts], MAX_LENGTH)
    logits = predict_logits(task.load(Path("bilstm")), rows, batch_size=4, pad_token_id=0, dtype=torch.float32)
    expected = task.answers(logits, rows, texts)
    assert [[(span["start"], span["end"], span["label"]) for span in spans] for spans in served] == expected
    assert sum(map(len, expected)), "or nothing was shown"


@pytest.mark.parametrize("name", ["sentiment", "gpt"])
def test_labels_are_those_of_the_model_in_the_order_of_the_texts(registry: Any, name: str) -> None:
    texts = [" ".join(["in", "new", "york", "play", "it"][row % 5 :] * (1 + row % 4)) for row in range(40)]
    answers = registry.pyfunc.load_model(f"models:/{name}@champion").predict(pd.DataFrame({"text": texts}))
    assert list(answers.columns) == ["label", "score"] and set(answers["label"]) <= set(NAMES)
    tokenizer = AutoTokenizer.from_pretrained(name)
    model = AutoModelForSequenceClassification.from_pretrained(name).eval()
    for text, label, score in zip(texts, answers["label"], answers["score"], strict=True):
        ids = tokenizer(text, truncation=True, return_tensors="pt")["input_ids"]  # alone, as in training
        with torch.inference_mode():
            probabilities = model(input_ids=ids).logits[0].softmax(dim=0)
        assert label == NAMES[int(probabilities.argmax())]
        assert score == pytest.approx(float(probabilities.max()), abs=1e-5)


def test_several_labels_are_those_over_a_half_the_likeliest_first(registry: Any) -> None:
    texts = [" ".join(["in", "new", "york", "play", "it"][row % 5 :] * (1 + row % 4)) for row in range(40)]
    answers = registry.pyfunc.load_model("models:/topics@champion").predict(pd.DataFrame({"text": texts}))
    assert list(answers.columns) == ["labels"]
    tokenizer = AutoTokenizer.from_pretrained("topics")
    model = AutoModelForSequenceClassification.from_pretrained("topics").eval()
    for text, said in zip(texts, answers["labels"], strict=True):
        ids = tokenizer(text, truncation=True, return_tensors="pt")["input_ids"]  # alone, as in training
        with torch.inference_mode():
            scores = dict(zip(TOPICS, model(input_ids=ids).logits[0].sigmoid().tolist(), strict=True))
        assert {one["label"] for one in said} == {name for name, score in scores.items() if score > 0.5}
        assert [one["score"] for one in said] == sorted((one["score"] for one in said), reverse=True)
        assert all(one["score"] == pytest.approx(scores[one["label"]], abs=1e-5) for one in said)
    assert len({len(said) for said in answers["labels"]}) > 1, "or nothing was shown"


def test_a_model_of_marked_texts_refuses_a_text_without_its_markers(registry: Any) -> None:
    register_student(registry, "marked", Path("sentiment"), markers=["it"])
    model = registry.pyfunc.load_model("models:/marked/1")
    assert len(model.predict(pd.DataFrame({"text": ["play it", "it"]}))) == 2
    for text, times in (("play", 0), ("it is it", 2)):
        with pytest.raises(MlflowException, match=f"row 1: text has the marker it {times} times, expected once"):
            model.predict(pd.DataFrame({"text": ["it", text]}))


def test_the_signature_is_that_of_the_students_folder(registry: Any) -> None:
    labels, slots = (
        registry.models.get_model_info(f"models:/{name}@champion").signature for name in ("sentiment", "slots")
    )
    assert [(column.name, column.type.name) for column in labels.outputs] == [("label", "string"), ("score", "double")]
    (column,) = slots.outputs
    assert column.name == "spans" and isinstance(column.type, Array) and isinstance(column.type.dtype, Object)
    assert {member.name: member.dtype.name for member in column.type.dtype.properties} == {
        "start": "long",
        "end": "long",
        "label": "string",
        "text": "string",
        "score": "double",
    }
    for signature in (labels, slots):
        assert [(column.name, column.type.name) for column in signature.inputs] == [("text", "string")]


def test_a_model_without_a_head_that_is_served_is_not_registered(registry: Any, tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"architectures": ["BertForMaskedLM"]})
    heads = " or ".join(served_model.HEADS)
    expected = f"the model is a BertForMaskedLM, expected one for {heads}"
    with pytest.raises(InputError, match=expected):
        register_student(registry, "masked", tmp_path)


def test_predict_prints_a_line_of_json_for_each_text(registry: Any) -> None:
    parameters = (ROOT / "params.yaml").read_text(encoding="utf-8")
    write_text(Path("params.yaml"), parameters.replace("\n  sentiment:\n", "\n  slots:\n"))
    result = CliRunner().invoke(app, ["predict", "东京", "play it"])
    assert result.exit_code == 0, result.output
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    span = {"start": 0, "end": 2, "label": "city", "text": "东京", "score": pytest.approx((BEGIN + INSIDE) / 2)}
    assert first == {"text": "东京", "spans": [span]}
    assert second == {"text": "play it", "spans": []}
    assert [sorted(answer) for answer in champion.predict("sentiment", [{"text": "play it"}])] == [
        ["label", "score", "text"]
    ]
