"""train_tokenizer: the same bytes at every run; an adopted tokenizer keeps its pieces; what is not there is named."""

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from pipeline.files import InputError, content_hash
from pipeline.params import Params, check_params
from pipeline.tokenization.folder import load_tokenizer, read_max_length
from tests.stages.tokenization_project import CORPUS, TOKENIZER, params, run_train_tokenizer, texts

pytestmark = pytest.mark.usefixtures("tokenization_project")


@pytest.mark.parametrize(("kind", "size"), [("wordpiece", 140), ("bpe", 300)])
def test_a_trained_tokenizer_is_the_same_at_every_run(kind: str, size: int) -> None:
    settings = params(
        tokenizer__kind=kind, tokenizer__vocabulary_size=size, tasks__sentiment__student__vocabulary_size=None
    )
    hashes = set()
    for _ in range(2):
        run_train_tokenizer(settings)
        hashes.add(content_hash(TOKENIZER))
    tokenizer, _ = load_tokenizer(TOKENIZER)
    assert len(hashes) == 1
    assert tokenizer.get_vocab_size() == size
    assert read_max_length(TOKENIZER) == 64


def adopted(folder: Path) -> Params:
    """Make a model folder of the trained tokenizer and return the parameters that adopt it."""
    run_train_tokenizer(params())
    shutil.copytree(TOKENIZER, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(length=20)
    tokenizer.enable_truncation(20)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text('{"max_position_embeddings": 48}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return adopting(folder)


def adopting(folder: Path) -> Params:
    nothing = {"kind": "adopt", "vocabulary_size": None, "lowercase": None, "min_frequency": None}
    source = {"kind": "folder", "path": str(folder)}
    return params(init_from=source, tokenizer=nothing, pretrain__architecture=None, pretrain__embeddings=None)


def test_an_adopted_tokenizer_loses_its_padding_and_keeps_its_pieces() -> None:
    folder = Path("downloaded")
    settings = adopted(folder)
    trained, _ = load_tokenizer(TOKENIZER)
    run_train_tokenizer(settings, init_from=str(folder))
    tokenizer, _ = load_tokenizer(TOKENIZER)
    assert tokenizer.get_vocab() == trained.get_vocab()
    text = texts(CORPUS / "train.parquet")[0]
    assert tokenizer.encode(text).ids == trained.encode(text).ids
    assert json.loads((TOKENIZER / "tokenizer.json").read_text())["padding"] is None
    assert read_max_length(TOKENIZER) == 48
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"^init_from: downloaded holds no tokenizer, expected tokenizer\.json"):
        run_train_tokenizer(settings, init_from=str(folder))


def test_a_vocabulary_file_alone_is_converted() -> None:
    folder = Path("old")
    settings = adopted(folder)
    trained, _ = load_tokenizer(TOKENIZER)
    vocabulary = trained.get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=lambda piece: vocabulary[piece])))
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    run_train_tokenizer(settings, init_from=str(folder))
    converted, _ = load_tokenizer(TOKENIZER)
    text = texts(CORPUS / "train.parquet")[0]
    assert converted.encode(text).ids == trained.encode(text).ids


def test_weights_that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match=r"^init_from: nowhere holds no config\.json, expected a model folder"):
        run_train_tokenizer(adopting(Path("nowhere")), init_from="nowhere")
    package = {"kind": "package", "path": "constraints.txt", "package": "no-such-package", "folder": "model"}
    settings = adopting(Path("nowhere")).model_dump() | {"init_from": package | {"sha256": "0" * 64}}
    with pytest.raises(InputError, match=r"^init_from\.package: no-such-package is not installed"):
        run_train_tokenizer(check_params(settings, Path("params.yaml")))
    settings["init_from"] |= {"package": "pytest", "folder": "_pytest"}
    with pytest.raises(InputError, match=r"^init_from\.folder: no _pytest/model\.safetensors in pytest"):
        run_train_tokenizer(check_params(settings, Path("params.yaml")))
