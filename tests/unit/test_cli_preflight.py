"""What is asked of adopted weights before a run: their tokens and their shape, of a folder and of the hub's cache."""

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
    Path(".dvc").mkdir()
    for name in ("dvc.yaml", "params.yaml", ".dvc/config", "constraints.txt"):
        Path(name).touch()


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


def test_of_the_hub_only_what_is_in_its_cache_is_looked_at() -> None:
    check_surroundings(given(110, HUB))
    folder = Path("hub/models--owner--name/snapshots") / REVISION
    weights(folder, None, width=8)
    with pytest.raises(InputError, match=r"student\.architecture\.hidden_size: must be <= 8, the teacher's, got 16"):
        check_surroundings(given(110, HUB))
    weights(folder, WHOLE[0])
    with pytest.raises(InputError, match=rf"a BPE in .*snapshots/{REVISION}, is no WordPiece, got 110"):
        check_surroundings(given(110, HUB))
