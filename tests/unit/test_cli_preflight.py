"""What is asked of adopted weights before a run: their tokens and shape, of a folder, the hub's cache and the hub."""

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from tokenizers import Tokenizer, models
from transformers import BertConfig, BertModel

from pipeline.cli.preflight import check_surroundings
from pipeline.files import InputError
from pipeline.params import Params, check_params
from tests.shipped_params import shipped_values

WORDPIECE = models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]")
WHOLE = [models.BPE({"a": 0}, []), models.Unigram([("a", 0.0)], 0), models.WordLevel({"a": 0}, unk_token="a")]
REVISION = "0" * 40
HUB = {"kind": "hub", "path": "constraints.txt", "name": "owner/name", "revision": REVISION}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    ask(monkeypatch, "http://127.0.0.1:9")  # the port that discards: nothing listens
    Path(".dvc").mkdir()
    for name in ("dvc.yaml", "params.yaml", ".dvc/config", "constraints.txt"):
        Path(name).touch()


def ask(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Have the hub's client ask `address`; it reads HF_ENDPOINT once, when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")


def weights(folder: Path, tokens: models.Model | None, width: int = 32) -> None:
    """Write an encoder of a few bytes and its tokenizer."""
    shape = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=120, **shape)).save_pretrained(folder)
    if tokens is not None:
        Tokenizer(tokens).save(str(folder / "tokenizer.json"))


def given(vocabulary_size: int | None, init_from: dict[str, Any]) -> Params:
    """Return parameters of a student that is 16 wide."""
    values = shipped_values() | {"init_from": init_from}
    student = values["tasks"]["sentiment"]["student"]
    student["vocabulary_size"] = vocabulary_size
    student["architecture"] |= {"hidden_size": 16, "attention_heads": 2}
    return check_params(values, Path("params.yaml"))


FOLDER = {"kind": "folder", "path": "weights"}


@pytest.mark.parametrize("tokens", WHOLE, ids=lambda model: type(model).__name__)
def test_a_vocabulary_is_not_cut_of_a_tokenizer_that_comes_whole(tokens: models.Model) -> None:
    weights(Path("weights"), tokens)
    with pytest.raises(InputError) as error:
        check_surroundings(given(110, FOLDER))
    assert str(error.value) == (
        "params.yaml: tasks.sentiment.student.vocabulary_size: must be null (the teacher's tokens) where the adopted "
        f"tokenizer, a {type(tokens).__name__} in weights, is no WordPiece, got 110"
    )
    check_surroundings(given(None, FOLDER))


def test_a_vocabulary_is_cut_of_a_wordpiece_and_of_what_only_its_stage_can_read() -> None:
    weights(Path("weights"), WORDPIECE)
    check_surroundings(given(110, FOLDER))
    Path("weights/tokenizer.json").unlink()
    check_surroundings(given(110, FOLDER))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serve the files of the folder `served` as those of the model; yield what was asked for."""
    asked: list[str] = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            name = self.path.removeprefix(f"/owner/name/resolve/{REVISION}/")
            if name != self.path:  # the client asks for more of its own
                asked.append(f"{self.command} {name}")
            file = Path("served") / name
            found = file.read_bytes() if file.is_file() else None
            self.send_response(404 if found is None else 200)
            if found is None:
                self.send_header("X-Error-Code", "EntryNotFound" if Path("served").exists() else "RepoNotFound")
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(found or b"")

        def log_message(self, format: str, *values: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ask(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        yield asked
        server.shutdown()


def test_of_a_model_in_the_hubs_cache_no_hub_is_asked(hub: list[str]) -> None:
    folder = Path("hub/models--owner--name/snapshots") / REVISION
    weights(folder, None, width=8)
    with pytest.raises(InputError, match=r"student\.architecture\.hidden_size: must be <= 8, the teacher's, got 16"):
        check_surroundings(given(110, HUB))
    weights(folder, WHOLE[0])
    with pytest.raises(InputError, match=r"a BPE in owner/name, is no WordPiece, got 110"):
        check_surroundings(given(110, HUB))
    assert not hub


def test_of_a_model_on_the_hub_its_shape_and_tokenizer_are_fetched_and_no_weights(hub: list[str]) -> None:
    weights(Path("served"), None, width=8)
    with pytest.raises(InputError, match=r"student\.architecture\.hidden_size: must be <= 8, the teacher's, got 16"):
        check_surroundings(given(110, HUB))
    weights(Path("served"), WHOLE[0])
    with pytest.raises(InputError, match=r"a BPE in owner/name, is no WordPiece, got 110"):
        check_surroundings(given(110, HUB))
    assert {line.split()[1] for line in hub} == {"config.json", "tokenizer.json"}
    # a cache of some files would be taken for the model where there is no network
    assert not list(Path("hub").rglob("config.json"))


def test_what_the_hub_does_not_give_is_left_to_the_stage_that_needs_it(hub: list[str]) -> None:
    check_surroundings(given(110, HUB))
    assert hub == ["HEAD config.json"]


def test_a_hub_out_of_reach_is_asked_once() -> None:
    started = time.monotonic()
    check_surroundings(given(110, HUB))
    assert time.monotonic() - started < 5  # all tries of a download take half a minute
