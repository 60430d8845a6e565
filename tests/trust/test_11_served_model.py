"""Point 11: whatever is asked of the registered model is answered or refused with a reason: no traceback, no 500."""

import json
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pandas as pd
import pytest
from hypothesis import strategies as st

from pipeline import tracking
from pipeline.files import InputError
from pipeline.registry import champion
from tests.registered_students import make_champion, register_student, registry_in
from tests.tiny_students import LABELS, PIECES, save_label_student, save_span_student
from tests.trust.fuzzing import VALUES, fuzz, mutated, one_line
from tests.trust.orchard import read_until, start

STUDENTS = {"sentiment": save_label_student, "slots": save_span_student}
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """MLflow with a tiny student as champion of each task: one labels texts, one finds spans."""
    root = tmp_path_factory.mktemp("registry")
    with registry_in(root) as mlflow:
        for task, save_student in STUDENTS.items():
            save_student(root / task)
            register_student(mlflow, task, root / task)
            make_champion(mlflow, task)
        yield mlflow


@pytest.fixture(scope="module", params=STUDENTS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(registry: ModuleType, task: str) -> Any:
    return registry.pyfunc.load_model(f"models:/{task}@champion")


@pytest.fixture
def quick_predict(registry: ModuleType, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the CLI calls, with the model in memory: loading takes longer than a hundred answers."""
    monkeypatch.setattr(tracking, "connect", lambda: registry)
    monkeypatch.setattr(registry.pyfunc, "load_model", lambda uri: model)


CHARACTERS = st.characters(exclude_categories=()) | st.sampled_from("\ud800\udfff\x00\ufeff\u202e\u0301<>&")
SENTENCES = st.lists(st.sampled_from(sorted(PIECES)) | st.text(CHARACTERS, max_size=3), max_size=12).map(" ".join)
TEXTS = st.lists(st.text(CHARACTERS, max_size=60) | SENTENCES, max_size=4)


def answering(task: str) -> Any:
    def attempt(texts: list[str]) -> None:
        try:
            answers = champion.predict(task, [{"text": text} for text in texts])
        except InputError as error:
            assert one_line(error).startswith(f"models:/{task}@champion: row ")
            assert any(not text.strip() or any("\ud800" <= sign <= "\udfff" for sign in text) for text in texts)
            return
        assert [answer["text"] for answer in answers] == texts
        for answer in answers:
            fits = is_labelled(answer) if task == "sentiment" else has_spans(answer)
            assert fits, answer
            line = json.dumps(answer, ensure_ascii=False)  # as the command prints it
            assert line.encode() and json.loads(line) == answer and "\n" not in line

    return attempt


def is_labelled(answer: dict[str, Any]) -> bool:
    return answer["label"] in ("negative", "positive") and 0.5 <= answer["score"] <= 1


def has_spans(answer: dict[str, Any]) -> bool:
    """Whether an answer's spans lie in its text one after another, each with a label of the task."""
    borders = [place for span in answer["spans"] for place in (span["start"], span["end"])]
    return borders == sorted(borders) and all(
        span["label"] in LABELS
        and 0 < span["score"] <= 1
        and span["text"] == answer["text"][span["start"] : span["end"]] != ""
        for span in answer["spans"]
    )


def test_any_text_is_answered_or_refused(quick_predict: None, task: str) -> None:
    fuzz(TEXTS, answering(task), 150)


@pytest.mark.slow
def test_a_thousand_lists_of_texts_are_answered_or_refused(quick_predict: None, task: str) -> None:
    fuzz(TEXTS, answering(task), 1000)


@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "x " * 500_000, "\U0001f600" * 1_000_000, "\u0301" * 1_000_000, "\0", "new " * 250_000]
)
def test_a_megabyte_is_answered(quick_predict: None, task: str, text: str) -> None:
    answering(task)([text])


def test_more_than_a_megabyte_is_refused(quick_predict: None, task: str) -> None:
    with pytest.raises(InputError, match="row 1: text has 1,000,001 characters, expected at most 1,000,000"):
        champion.predict(task, [{"text": "a"}, {"text": "x" * 1_000_001}])


def test_the_model_itself_takes_a_table_of_one_column(model: Any, registry: ModuleType) -> None:
    own = model.unwrap_python_model()
    tables = [pd.DataFrame({"text": ["a"], "more": ["b"]}), pd.DataFrame([["a", "b"]], columns=["text", "text"])]
    for wrong in (*tables, pd.DataFrame({"texts": ["a"]}), ["a"], {"text": ["a"]}, None, 3):
        with pytest.raises(
            registry.exceptions.MlflowException, match="expected a table with one column, text"
        ) as caught:
            own.predict(None, wrong)
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    for value in (None, 3, 1.5, b"a", ["a"], {"a": 1}, float("nan"), "", " \u3000\n", "\udc80"):
        with pytest.raises(registry.exceptions.MlflowException, match="row 0: text ") as caught:
            own.predict(None, pd.DataFrame({"text": [value]}, dtype=object))
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert len(own.predict(None, pd.DataFrame({"text": []}))) == 0


@pytest.fixture(scope="module")
def server(model: Any) -> Any:
    """The server of `mlflow models serve`, in this process; a failure inside it becomes a 500 as it would outside."""
    from mlflow.pyfunc import scoring_server
    from starlette.testclient import TestClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "false")  # the server sets it for good
        with TestClient(scoring_server.init(model), raise_server_exceptions=False) as client:
            yield client


def post(server: Any, body: bytes, kind: str = JSON) -> Any:
    return server.post("/invocations", content=body, headers={"content-type": kind})


KEYS = ("inputs", "instances", "dataframe_split", "dataframe_records")
REQUESTS = [
    b'{"inputs": ["new york", "dull plot"]}',
    b'{"instances": [{"text": "new york"}, {"text": "dull plot"}]}',
    b'{"dataframe_split": {"columns": ["text"], "data": [["new york"], ["dull plot"]]}}',
    b'{"dataframe_records": [{"text": "new york"}, {"text": "dull plot"}]}',
]
SIGNS = (
    "{", "}", "[", "]", ":", ",", '"', '""', "\\", "\\ud800", "\\u0000", "null", "true", "NaN", "-1", "1e999",
    '"text"', "电",
)  # fmt: skip
PIECES = [sign.encode() for sign in SIGNS] + [b"\xff", b"\x00", b"[" * 900]
TABLES = [b"text\nnew york\ndull plot\n", b'text\n"new, york"\n']
BODIES = (
    st.tuples(mutated(REQUESTS, PIECES), st.just(JSON))
    | st.tuples(
        st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2).map(json.dumps).map(str.encode), st.just(JSON)
    )
    | st.tuples(mutated(TABLES, [b"\n", b",", b'"', b"\r", b"\xff", b"\x00", b"text", b"nan"]), st.just(CSV))
    | st.tuples(
        st.binary(max_size=60), st.sampled_from([JSON, CSV, PARQUET, "text/plain", "", ";", f"{JSON}; charset=x"])
    )
)


def asking(server: Any) -> Any:
    def attempt(asked: tuple[bytes, str]) -> None:
        answer = post(server, *asked)
        assert answer.status_code in (200, 400, 415), (asked, answer.text)
        if answer.status_code == 200:
            assert list(answer.json()) == ["predictions"]
        else:
            assert answer.text and "unexpected error while evaluating the model" not in answer.text

    return attempt


def test_any_request_is_answered_or_refused_with_a_reason(server: Any) -> None:
    fuzz(BODIES, asking(server), 250)
    assert len(post(server, REQUESTS[0]).json()["predictions"]) == 2  # it still answers


@pytest.mark.slow
def test_a_thousand_requests_are_answered_or_refused_with_a_reason(server: Any) -> None:
    fuzz(BODIES, asking(server), 1000)


@pytest.mark.parametrize("request_body", REQUESTS)
def test_blank_texts_are_refused_whatever_the_request(server: Any, request_body: bytes) -> None:
    assert len(post(server, request_body).json()["predictions"]) == 2
    refused = post(server, request_body.replace(b"dull plot", b" "))
    assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "row 1: text is blank, expected words" in refused.json()["message"]


@pytest.mark.parametrize("value", ["3", "1.5", "true", "null", '{"a": 3}', "[3]"])
def test_what_is_no_text_is_refused_whatever_the_request(server: Any, value: str) -> None:
    """MLflow makes a text of a number by the model's signature, before the model sees it."""
    for request_body in REQUESTS:
        refused = post(server, request_body.replace(b'"dull plot"', value.encode()))
        assert refused.status_code == 400, (request_body, refused.text)
        assert "must be a string, got " in refused.json()["message"], refused.text


@pytest.mark.parametrize("body", [b'{"inputs": ' + b"[" * 100_000, b'{"inputs": [' + b"9" * 5000 + b"]}", None])
def test_what_mlflows_own_parser_stumbles_over_is_refused(server: Any, body: bytes | None) -> None:
    """Nesting beyond Python's recursion, an endless number, no content type at all: MLflow alone answers 500."""
    answer = post(server, body) if body else server.post("/invocations", content=b"{}")
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("the request cannot be read (")
    assert len(post(server, REQUESTS[0]).json()["predictions"]) == 2


@pytest.mark.slow
def test_mlflows_own_command_serves_the_champion_and_refuses_the_same(registry: ModuleType) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mlflow = str(Path(sys.executable).with_name("mlflow"))
    place = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    with start(Path.cwd(), mlflow, "models", "serve", "-m", "models:/sentiment@champion", *place) as process:
        try:
            read_until(process, "Uvicorn running")
            address = f"http://127.0.0.1:{port}/invocations"
            for body, status in (
                (REQUESTS[0], 200),
                (b'{"inputs": ["new york", 3]}', 400),
                (b'{"inputs": ["new york", " "]}', 400),
                (b'{"inputs": ' + b"[" * 100_000, 400),
                (b"{", 400),
                (REQUESTS[3], 200),
            ):
                answer = httpx.post(address, content=body, headers={"content-type": JSON}, timeout=60)
                assert answer.status_code == status, answer.text
                assert ("predictions" if status == 200 else "message") in answer.json()
        finally:
            process.terminate()
