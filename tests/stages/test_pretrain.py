"""The pretrain stage on a corpus of 60 short sequences."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.files import InputError, content_hash, read_json
from pipeline.params import Params
from tests.shipped_params import shipped_values

WORDS = [f"w{i}" for i in range(90)] + [f"##p{i}" for i in range(5)]
CAUSAL = {"objective": "causal_lm", "mask_share": None, "whole_word_mask": None}
FAMILIES = {
    "roberta": {},
    "gpt": CAUSAL | {"across_documents": False},
    "gpt across documents": CAUSAL | {"across_documents": True},
}  # and what it takes to pretrain one
SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a tokenizer of 100 pieces and a corpus that uses ten of them."""
    from tokenizers.models import WordPiece

    from pipeline.tokenization.folder import assemble, save_tokenizer

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # what MLflow shows has its own tests
    monkeypatch.setattr("pipeline.stage_run.SECONDS_TO_CLOSE", 0.1)
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


def _params(family: str = "bert", **changes: Any) -> Params:
    params = shipped_values()
    training = params["pretrain"]["training"] | {"batch_size": 8, "learning_rate": 5e-3}
    shape = {
        "family": family, "layers": 1, "hidden_size": 32, "attention_heads": 2, "intermediate_size": 64,
        "max_length": 32, "dropout": 0.1,
    }  # fmt: skip
    params["runtime"] |= {"threads": 1, "precision": "float32"}
    kind = "wordpiece" if family == "bert" else "bpe"
    params["tokenizer"] = {"kind": kind, "vocabulary_size": 100, "lowercase": True, "min_frequency": 1}
    params["init_from"] = {"kind": "random", "path": "tokenizer"}
    params["pretrain"] |= {
        "architecture": shape,
        "embeddings": "random",
        "max_tokens": 10_000,
        "training": training,
    } | changes
    for task in params["tasks"].values():
        task["student"] |= {"vocabulary_size": None}
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


def test_rows_in_shards_are_learnt_from_and_nothing_of_them_stays(project: Path) -> None:
    from pipeline.tokenization.shards import growing_shards

    params, tokens = _params().model_dump(), project / "tokens"
    params["corpus"]["shards"] = {"url": f"file://{project}/storage", "megabytes": 0.001, "window": 2}
    sharded, rows = Params.model_validate(params), np.load(tokens / "input_ids.npy")
    (tokens / "input_ids.npy").unlink()
    assert sharded.corpus.shards is not None
    storage = sharded.corpus.shards.model_dump()
    with growing_shards(tokens / "shards.json", (32,), rows.dtype, **storage) as append:
        append(rows)
    history = _run(sharded, project)
    assert history[-1]["step"] == 39 and history[-1]["loss"] < history[0]["loss"] - 1
    assert not (project / ".stillhouse/shards").exists()
    _run(sharded, project, "again")
    assert content_hash(project / "pretrained") == content_hash(project / "again")

    shard = sorted((project / "storage").iterdir())[0]
    shard.unlink()
    with pytest.raises(InputError, match=rf"^file://{shard}: no such file, expected it on the storage"):
        _run(sharded, project, "without")


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_learns_and_the_same_seed_gives_the_same_bytes(project: Path, kind: str) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    params = _params(kind.split()[0], embeddings="cooccurrence", max_tokens=5_000, **FAMILIES[kind])
    history = _run(params, project)
    assert history[-1]["loss"] < history[0]["loss"] - 1
    _run(params, project, "again")
    assert content_hash(project / "pretrained") == content_hash(project / "again")
    config = read_json(project / "pretrained" / "config.json")
    assert (config["pad_token_id"], config["eos_token_id"]) == (0, 3)
    inputs = AutoTokenizer.from_pretrained(project / "pretrained")("w1 w2", return_tensors="pt")
    assert set(inputs) == {"input_ids", "attention_mask"}
    AutoModelForSequenceClassification.from_pretrained(project / "pretrained")(**inputs)


@pytest.mark.parametrize("family", ["roberta", "gpt"])
def test_what_is_learnt_from_context_and_learnt_on_is_more_than_how_often_a_token_stands(
    project: Path, family: str
) -> None:
    tokens = project / "tokens"
    for prefix, count, seed in (("", 300, 1), ("dev_", 20, 2)):  # most tokens of a sequence are the same one
        generator = np.random.default_rng(seed)
        ids = generator.integers(5, 15, size=(count, 32)).astype(np.uint16)
        ids = np.where(generator.random(ids.shape) < 0.8, ids[:, :1], ids)
        np.save(tokens / f"{prefix}input_ids.npy", ids)
    shares = np.bincount(np.load(tokens / "dev_input_ids.npy").ravel(), minlength=15)[5:] / (20 * 32)
    unigram = -float(np.sum(shares * np.log(shares)))  # no predictor that sees no context has a lower loss

    changes = FAMILIES[family]
    history = _run(_params(family, embeddings="cooccurrence", max_tokens=60_000, **changes), project, "first")
    assert history[0]["loss"] > unigram > history[-1]["loss"] + 0.2
    _adopt(project, "first", max_tokens=30_000, **changes)
    went_on = read_json(project / "adopted.json")
    assert went_on[0]["loss"] == pytest.approx(history[-1]["loss"], abs=0.01)
    assert went_on[-1]["loss"] < unigram - 0.2


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


def _adopt(project: Path, weights: str, tokenizer: str = "tokenizer", **changes: Any) -> None:
    from pipeline.stages.pretrain import run

    params = _params().model_dump()
    params["init_from"] = {"kind": "folder", "path": weights}
    params["tokenizer"] = {"kind": "adopt", "vocabulary_size": None, "lowercase": None, "min_frequency": None}
    params["pretrain"] |= {"architecture": None, "embeddings": None, "max_tokens": 0} | changes
    run(
        Params.model_validate(params), tokens=project / "tokens", tokenizer=project / tokenizer,
        init_from=project / weights, out=project / "adopted", history=project / "adopted.json",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["bert", *FAMILIES])
def test_no_tokens_adopt_the_weights_as_they_are(project: Path, kind: str) -> None:
    from safetensors.numpy import load_file

    changes = FAMILIES.get(kind, {})
    _run(_params(kind.split()[0], max_tokens=512, **changes), project, "first")
    _adopt(project, "first", **changes)
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


def test_a_gpt2_without_padding_gets_a_token_for_it_and_learns_on(project: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    words = 99  # the project's tokenizer has one more, which stands for the [PAD] that adoption adds
    config = GPT2Config(
        vocab_size=words, n_embd=32, n_layer=1, n_head=2, n_positions=64, bos_token_id=3, eos_token_id=3
    )
    published = GPT2LMHeadModel(config)
    published.save_pretrained(project / "gpt2")
    names = read_json(project / "tokenizer" / "tokenizer_config.json") | {"pad_token": "##p4"}
    (project / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(names))

    _adopt(project, "gpt2", **FAMILIES["gpt"])
    adopted = GPT2LMHeadModel.from_pretrained(project / "adopted")
    assert (adopted.config.vocab_size, adopted.config.pad_token_id) == (100, 99)
    assert torch.equal(adopted.transformer.wte.weight[:words], published.transformer.wte.weight)
    assert adopted.lm_head.weight is adopted.transformer.wte.weight
    _adopt(project, "gpt2", **FAMILIES["gpt"] | {"max_tokens": 10_000})
    history = read_json(project / "adopted.json")
    assert history[-1]["loss"] < history[0]["loss"] - 1


def test_an_objective_that_the_weights_cannot_learn_is_refused(project: Path) -> None:
    _run(_params("gpt", max_tokens=256, **FAMILIES["gpt"]), project, "first")
    expected = r"^pretrain\.objective: must be causal_lm for the gpt of init_from, got masked_lm$"
    with pytest.raises(InputError, match=expected):
        _adopt(project, "first")


def test_a_roberta_is_as_long_as_it_was_asked_to_be(project: Path) -> None:
    _run(_params("roberta", max_tokens=256), project)
    assert read_json(project / "pretrained" / "config.json")["max_position_embeddings"] == 33
    shape = _params("roberta").pretrain.architecture
    assert shape is not None
    shorter = shape.model_dump() | {"max_length": 31}
    with pytest.raises(InputError, match=r"sequence_length: must be <= 31, the positions of the model, got 32"):
        _run(_params("roberta", architecture=shorter), project)
