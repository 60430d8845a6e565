"""One server process: what it answers, what it refuses and how, that it gathers requests, and its pages."""

import asyncio
import http.client
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.registry import champion
from pipeline.serving.batching import Batcher, UnavailableError
from pipeline.serving.limits import MAX_CHARACTERS, MAX_REQUEST_BYTES, MAX_ROWS, MAX_WAITING
from pipeline.serving.metrics import Metrics
from tests.serving.server_process import Server, served
from tests.trust.fuzzing import VALUES, fuzz

TEXTS = ["play it", "in new york, madonna", "东京", "keys " * 40]


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    with served(project) as running:
        assert running.ask("/health") == (200, '{"status":"alive","version":null}')
        seen = running.wait_until_ready()
        assert seen[0] == 503, "it was never asked before a model was loaded"
        yield running


def test_answers_are_those_of_predict(server: Server, registry: ModuleType) -> None:
    said = server.predict(*TEXTS)
    assert (said["model"], said["version"]) == ("sentiment", 1)
    expected = champion.predict("sentiment", [{"text": text} for text in TEXTS])
    assert said["answers"] == [row | {"score": pytest.approx(row["score"], abs=1e-5)} for row in expected]
    assert json.loads(server.ask("/ready")[1]) == {"status": "ready", "version": 1}


ROW = {"text": "play it"}
REFUSED: list[tuple[Any, int, str]] = [
    ({"rows": [{"text": 3}]}, 422, "rows.0.text: must be a valid string, got 3"),
    ({"rows": [ROW, {"text": None}]}, 422, "rows.1.text: must be a valid string, got None"),
    ({"rows": [ROW, {"text": True}]}, 422, "rows.1.text: must be a valid string, got True"),
    ({"rows": [ROW, ["play it"]]}, 422, "rows.1: must be a JSON object, got ['play it']"),
    ({"rows": [{"text": " \u3000"}]}, 422, "rows.0.text: is blank, expected words"),
    ({"rows": [{}]}, 422, "rows.0.text: missing, expected it to be given"),
    ({"rows": [ROW | {"label": "positive"}]}, 422, "rows.0.label: unknown, expected only what /docs names"),
    ({"rows": [ROW | {"pair": "who?"}]}, 422, "rows.0: expected text, got text and pair"),
    ({"rows": []}, 422, "rows: must have at least 1 item, got 0"),
    ({"rows": [ROW] * (MAX_ROWS + 1)}, 422, f"rows: must have at most {MAX_ROWS} items, got {MAX_ROWS + 1}"),
    ({"rows": "play it"}, 422, "rows: must be a valid list, got 'play it'"),
    (["play it"], 422, "the body: must be a JSON object, got ['play it']"),
    (
        {"rows": [{"text": "x" * (MAX_CHARACTERS + 1)}]},
        422,
        f"rows.0.text: must have at most {MAX_CHARACTERS} characters, got {MAX_CHARACTERS + 1}",
    ),
    (b'{"rows": [{"text": "\\ud800"}]}', 422, "rows.0.text: must be Unicode text without half of a surrogate pair"),
    (b'{"rows": [', 400, "the body is not JSON: Expecting value at character 10"),
    (b'{"rows": "\xff"}', 400, "the body cannot be read, expected JSON"),
    (b"[" * 100_000, 400, "the body cannot be read, expected JSON"),
    (b'{"rows": ' + b"9" * 5000 + b"}", 400, "the body cannot be read, expected JSON"),
    (b" " * (MAX_REQUEST_BYTES + 1), 413, f"the body is too large, expected at most {MAX_REQUEST_BYTES:,} bytes"),
]


@pytest.mark.parametrize(("body", "status", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused_is_told_in_a_sentence(server: Server, body: Any, status: int, sentence: str) -> None:
    code, said = server.ask("/predict", body)
    assert (code, json.loads(said)["error"].partition(", got '\\ud800")[0]) == (status, sentence)


def test_paths_methods_and_kinds_of_body_are_refused_alike(server: Server) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = [
        server.ask("/nowhere"),
        server.ask("/predict"),
        server.ask("/predict", b"rows=1", **form),
        server.ask("/explain", {"text": 3}),
    ]
    assert [status for status, _ in refused] == [404, 405, 415, 422]
    assert all(json.loads(said)["error"] for _, said in refused)


def test_a_body_without_a_length_is_cut_off_at_the_limit(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    chunks = iter([b" " * 100_000] * 12)
    connection.request("POST", "/predict", chunks, {"Content-Type": "application/json"}, encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["error"].partition(",")[0]) == (413, "the body is too large")
    connection.close()


def test_any_json_is_answered_or_refused_in_one_line(server: Server) -> None:
    def attempt(value: Any) -> None:
        for body in (value, {"rows": value}, {"rows": [{"text": value}]}):
            status, said = server.ask("/predict", [] if body is None else body)
            assert status in (200, 422), (body, said)
            assert status == 200 or json.loads(said)["error"].isprintable()

    fuzz(VALUES, attempt, 60)
    assert server.predict("play it")["version"] == 1


def test_requests_of_many_clients_are_read_together(server: Server) -> None:
    names = ("stillhouse_batch_requests_count", "stillhouse_batch_requests_sum", "stillhouse_batch_rows_sum")
    before = [server.metric(name) for name in names]
    alone = {text: server.predict(text)["answers"][0]["score"] for text in TEXTS}
    wrong: list[Any] = []

    def client(number: int) -> None:
        for turn in range(10):
            text = TEXTS[(number + turn) % len(TEXTS)]
            (answer,) = server.predict(text)["answers"]
            if answer["text"] != text or abs(answer["score"] - alone[text]) > 1e-5:
                wrong.append(answer)

    clients = [threading.Thread(target=client, args=[number]) for number in range(16)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert wrong == []
    batches, requests, rows = (server.metric(name) - was for name, was in zip(names, before, strict=True))
    assert requests == rows == len(TEXTS) + 160
    assert batches < (len(TEXTS) + 160) / 2
    assert server.metric("stillhouse_waiting_requests") == 0
    assert server.metric("stillhouse_model_version") == 1


def test_one_refused_request_of_a_batch_is_refused_alone(registry: ModuleType) -> None:
    metrics = Metrics()
    model = champion.load(registry, "sentiment", 1)
    batcher = Batcher(lambda: model, metrics)

    async def ask_together() -> list[Any]:
        work = asyncio.create_task(batcher.run())
        asked = [batcher.ask([{"text": text}]) for text in ("play it", " ", "in new york")]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        work.cancel()
        return outcomes

    first, refused, last = asyncio.run(ask_together())
    assert [first.answers, last.answers] == [model.answer([{"text": text}]) for text in ("play it", "in new york")]
    assert str(refused) == "models:/sentiment@champion: row 0: text is blank, expected words"


def test_more_requests_than_may_wait_are_told_to_come_back(registry: ModuleType) -> None:
    batcher = Batcher(lambda: champion.load(registry, "sentiment", 1), Metrics())

    async def fill() -> None:  # nobody answers
        waiting = [asyncio.create_task(batcher.ask([ROW])) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match=f"busy: {MAX_WAITING} requests wait, come back in a second"):
            await batcher.ask([ROW])
        for request in waiting:
            request.cancel()

    asyncio.run(fill())


def test_the_words_that_mattered_are_those_whose_absence_changes_the_answer(server: Server) -> None:
    text = "play madonna, in new york"
    status, said = server.ask("/explain", {"text": text})
    explained = json.loads(said)
    assert (status, explained["version"], explained["answer"]["text"]) == (200, 1, text)
    places = [(word["start"], word["end"]) for word in explained["words"]]
    assert [text[start:end] for start, end in places] == ["play", "madonna", ",", "in", "new", "york"]
    whole, *without = server.predict(text, *(text[:start] + text[end:] for start, end in places))["answers"]
    for word, answer in zip(explained["words"], without, strict=True):
        same = answer["label"] == whole["label"]
        assert word["weight"] == pytest.approx(
            whole["score"] - (answer["score"] if same else 1 - answer["score"]), abs=1e-5
        )
    assert json.loads(server.ask("/explain", {"text": "york"})[1])["words"] == []  # without it nothing is left


def test_pages_are_whole_and_ask_nobody_else(server: Server) -> None:
    for path, named in (("/", 'name="text"'), ("/docs", "POST /predict")):
        status, page = server.ask(path)
        assert status == 200 and named in page
        assert not re.findall(r"https?:|//\w|@import|url\(", page.replace("// ", ""))
        assert all(link.partition(":")[0] in ("data", *"#.od") or link[0] in "#.od" for link in links(page)), page
    schema = json.loads(server.ask("/openapi.json")[1])
    assert set(schema["paths"]) == {"/predict", "/explain", "/health", "/ready", "/metrics"}


def links(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]*)"', page)


def test_a_second_server_does_not_take_the_port(server: Server, registry: ModuleType) -> None:
    result = CliRunner().invoke(app, ["serve", "--port", str(server.port)])
    assert result.exit_code == 2
    assert result.output.startswith(f"stillhouse: --host 127.0.0.1 --port {server.port}: ")
    assert result.output.endswith(", expected an address that is free\n")
