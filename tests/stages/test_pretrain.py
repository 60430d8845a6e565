"""The pretrain stage on a corpus of 60 short sequences."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.files import InputError, content_hash, read_json
from pipeline.params import Params, load_params

ROOT = Path(__file__).parents[2]
WORDS = [f"w{i}" for i in range(90)] + [f"##p{i}" for i in range(5)]
SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a tokenizer of 100 pieces and a corpus that uses ten of them."""
    from tokenizers.models import WordPiece

    from pipeline.tokenization.folder import assemble, save_tokenizer

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # what MLflow shows has its own tests
    monkeypatch.setattr("pipeline.tracking.SECONDS_TO_CLOSE", 0.1)
    vocabulary = {token: index for index, token in enumerate([*SPECIAL.values(), *WORDS])}
    model = WordPiece(vocabulary, unk_token="[UNK]")
    save_tokenizer(assemble(model, SPECIAL, None, None, None), SPECIAL, 32, tmp_path / "tokenizer")
    generator = np.random.default_rng(0)
    for prefix, count in (("", 60), ("dev_", 20)):
        ids = generator.integers(5, 15, size=(count, 32)).astype(np.uint16)
        segments = np.repeat([[0, 1]], 16, axis=1).astype(np.uint8)
        (tmp_path / "tokens").mkdir(exist_ok=True)
        np.save(tmp_path / "tokens" / f"{prefix}input_ids.npy", ids)
        np.save(tmp_path / "tokens" / f"{prefix}token_type_ids.npy", np.repeat(segments, count, axis=0))
        np.save(tmp_path / "tokens" / f"{prefix}next_sentence_labels.npy", np.arange(count) % 2)
    yield tmp_path


def _params(**changes: Any) -> Params:
    params = load_params(ROOT / "params.yaml").model_dump()
    training = params["pretrain"]["training"] | {"batch_size": 8, "learning_rate": 5e-3}
    shape = {
        "family": "bert", "layers": 1, "hidden_size": 32, "attention_heads": 2, "intermediate_size": 64,
        "max_length": 32, "dropout": 0.1,
    }  # fmt: skip
    params["runtime"] |= {"threads": 1, "precision": "float32"}
    params["tokenizer"] = {"kind": "wordpiece", "vocabulary_size": 100, "lowercase": True, "min_frequency": 1}
    params["init_from"] = {"kind": "random", "path": "tokenizer"}
    params["pretrain"] |= {
        "architecture": shape,
        "embeddings": "random",
        "max_tokens": 10_000,
        "training": training,
    } | changes
    for task in params["tasks"].values():
        task["student"]["architecture"] |= {"hidden_size": 24}
    return Params.model_validate(params)


def _run(params: Params, project: Path, out: str = "pretrained") -> list[dict[str, Any]]:
    from pipeline.stages.pretrain import run

    history = project / f"{out}.json"
    run(
        params, tokens=project / "tokens", tokenizer=project / "tokenizer", init_from=project / "tokenizer",
        out=project / out, history=history,
    )  # fmt: skip
    return list(read_json(history))


def test_the_loss_falls_and_the_same_seed_gives_the_same_bytes(project: Path) -> None:
    from transformers import AutoTokenizer, BertForMaskedLM

    history = _run(_params(), project)
    assert history[0]["step"] == 0
    assert history[-1]["step"] == 39  # 10,000 tokens in batches of 8 x 32
    assert history[-1]["loss"] < history[0]["loss"] - 1
    assert history[-2]["tokens"] <= 10_000
    _run(_params(), project, "again")
    assert content_hash(project / "pretrained") == content_hash(project / "again")
    assert (project / "pretrained.json").read_bytes() == (project / "again.json").read_bytes()

    files = {file.name for file in (project / "pretrained").iterdir()}
    assert files == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert BertForMaskedLM.from_pretrained(project / "pretrained").config.vocab_size == 100
    assert AutoTokenizer.from_pretrained(project / "pretrained").mask_token == "[MASK]"
    assert not list((project / ".stillhouse" / "checkpoints").glob("pretrain-*/"))


def test_sentence_pairs_and_whole_words_train_too(project: Path) -> None:
    history = _run(_params(objective="masked_lm_next_sentence", whole_word_mask=True, max_tokens=1024), project)
    assert json.loads((project / "pretrained" / "config.json").read_text())["architectures"] == ["BertForPreTraining"]
    assert [record["step"] for record in history if record["split"] == "dev"] == [0, 2, 4]


def test_embeddings_start_from_the_corpus_where_it_shows_a_token(project: Path) -> None:
    from safetensors.numpy import load_file

    name = "bert.embeddings.word_embeddings.weight"
    slow = _params().pretrain.training.model_copy(update={"learning_rate": 1e-12}).model_dump()
    words = {}
    for start in ("random", "cooccurrence"):
        _run(_params(embeddings=start, max_tokens=256, training=slow), project, start)
        words[start] = load_file(project / start / "model.safetensors")[name]
    changed = ~np.isclose(words["random"], words["cooccurrence"], atol=1e-6).all(axis=1)
    assert np.flatnonzero(changed).tolist() == list(range(5, 15))


def test_no_tokens_adopt_the_weights_as_they_are(project: Path) -> None:
    from safetensors.numpy import load_file

    _run(_params(max_tokens=512), project, "first")
    params = _params().model_dump()
    params["init_from"] = {"kind": "folder", "path": "first"}
    params["tokenizer"] = {"kind": "adopt", "vocabulary_size": None, "lowercase": None, "min_frequency": None}
    params["pretrain"] |= {"architecture": None, "embeddings": None, "max_tokens": 0}
    from pipeline.stages.pretrain import run

    run(
        Params.model_validate(params), tokens=project / "tokens", tokenizer=project / "tokenizer",
        init_from=project / "first", out=project / "adopted", history=project / "adopted.json",
    )  # fmt: skip
    assert read_json(project / "adopted.json") == []
    adopted, first = (load_file(project / name / "model.safetensors") for name in ("adopted", "first"))
    assert adopted.keys() == first.keys()
    assert all(np.array_equal(adopted[name], first[name]) for name in first)


def test_sequences_longer_than_the_model_are_refused(project: Path) -> None:
    shape = _params().pretrain.architecture
    assert shape is not None
    shorter = shape.model_dump() | {"max_length": 16}
    with pytest.raises(InputError, match=r"sequence_length: must be <= 16, the positions of the model, got 32"):
        _run(_params(architecture=shorter), project)
