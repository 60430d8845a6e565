"""finetune from end to end: a teacher that learnt and loads again, no word of new weights, equal bytes twice."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForMaskedLM

from pipeline.evaluation.efficiency import size
from pipeline.files import InputError, content_hash, read_json
from pipeline.params import Params, check_params
from pipeline.stages.finetune import run
from pipeline.tasks import TASKS
from pipeline.tokenization.folder import SPECIAL_TOKENS, assemble, save_tokenizer
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.prediction import predict_logits
from tests.shipped_params import shipped_values

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "plot", "scene", "music", "story"]
LAST = VOCABULARY.index("story")


@pytest.fixture(autouse=True)
def project(tracked_folder: None) -> None:
    write_pretrained(Path("models/pretrained"))
    for split, count, seed in (("train", 40, 0), ("dev", 12, 1), ("counterfactuals", 0, 2)):
        token_rows(count, seed).save(Path("tokens") / split)


def write_pretrained(folder: Path) -> None:
    from tokenizers import models, pre_tokenizers

    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    BertForMaskedLM(shape).save_pretrained(folder)
    model = models.WordPiece({piece: i for i, piece in enumerate(VOCABULARY)}, unk_token="[UNK]")
    tokenizer = assemble(model, SPECIAL_TOKENS, None, pre_tokenizers.Whitespace(), None)
    save_tokenizer(tokenizer, SPECIAL_TOKENS, 16, folder)


def token_rows(count: int, seed: int) -> TokenRows:
    """Rows that hold one telling word, good or bad, among others."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 2, size=count)
    others = [chance.integers(7, LAST + 1, size=chance.integers(1, 6)).tolist() for _ in range(count)]
    rows = [
        [2, *words, VOCABULARY.index("good" if label else "bad"), 3]
        for words, label in zip(others, labels, strict=True)
    ]
    return TokenRows.from_rows(rows, labels, np.dtype(np.uint16))


def params(
    embeddings_rate: float = 1.0, dropout: float = 0.0, consistency: float = 0.0, *, seed: int = 17, teachers: int = 1
) -> Params:
    values = shipped_values()
    values["runtime"] |= {"threads": 1, "precision": "float32", "seed": seed}
    section = values["tasks"]["sentiment"]["finetune"]
    section |= {"dropout": dropout, "consistency": consistency, "teachers": teachers}
    section["training"] |= {
        "embeddings_rate": embeddings_rate,
        "epochs": 6,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "evaluations": 3,
    }
    return check_params(values, Path("params.yaml"))


def finetune(section: Params, name: str = "teacher") -> Path:
    out, tokens = Path("models") / name, Path("tokens")
    run(
        section,
        task="sentiment",
        pretrained=Path("models/pretrained"),
        train=tokens / "train",
        counterfactuals=tokens / "counterfactuals",
        dev=tokens / "dev",
        out=out,
        history=Path(f"reports/{name}.json"),
    )
    return out


def test_the_teacher_loads_again_and_has_learnt(capfd: pytest.CaptureFixture[str]) -> None:
    out = finetune(params())
    printed = "".join(capfd.readouterr())
    assert "MISSING" not in printed and "newly initialized" not in printed
    assert sorted(file.name for file in out.iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    model, dev = AutoModelForSequenceClassification.from_pretrained(out), token_rows(12, 1)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert AutoTokenizer.from_pretrained(out)("good film")["input_ids"] == [2, 5, 7, 3]
    logits = predict_logits(model, dev, batch_size=8, pad_token_id=0, dtype=torch.float32)
    history = read_json(Path("reports/teacher.json"))
    best = max(record["accuracy"] for record in history if record["split"] == "dev")
    assert np.mean(logits.argmax(axis=1) == dev.labels) == best == 1.0
    assert {record["split"] for record in history} == {"train", "dev"}
    assert str(Path.cwd()) not in "".join(file.read_text() for file in out.glob("*.json"))
    assert not list(Path(".stillhouse/checkpoints").glob("*/step-*"))


def test_the_same_seed_gives_the_same_bytes_and_frozen_embeddings_stay() -> None:
    section = params(embeddings_rate=0.0, dropout=0.1, consistency=1.0)
    first, second = finetune(section, "first"), finetune(section, "second")
    assert content_hash(first) == content_hash(second)
    assert content_hash(Path("reports/first.json")) == content_hash(Path("reports/second.json"))
    before = BertForMaskedLM.from_pretrained("models/pretrained").bert.embeddings
    after = AutoModelForSequenceClassification.from_pretrained(first).bert.embeddings
    assert torch.equal(before.word_embeddings.weight, after.word_embeddings.weight)
    assert not torch.equal(before.position_embeddings.weight, after.position_embeddings.weight)


def test_of_several_teachers_each_is_what_it_is_alone() -> None:
    section = params(dropout=0.1, teachers=2)
    both = finetune(section, "both")
    assert sorted(path.name for path in both.iterdir() if path.is_dir()) == ["seed_18"]
    for seed, folder in ((17, both), (18, both / "seed_18")):
        weights = finetune(params(dropout=0.1, seed=seed), f"alone_{seed}") / "model.safetensors"
        assert weights.read_bytes() == (folder / "model.safetensors").read_bytes()
    assert {record["model"] for record in read_json(Path("reports/both.json"))} == {"seed_17", "seed_18"}
    head, dev = TASKS["text_classification"]().from_params(section.tasks["sentiment"]), token_rows(12, 1)
    asked = {"batch_size": 8, "pad_token_id": 0, "dtype": torch.float32}
    said = [
        predict_logits(AutoModelForSequenceClassification.from_pretrained(folder), dev, **asked)
        for folder in (both, both / "seed_18")
    ]
    np.testing.assert_allclose(predict_logits(head.load(both), dev, **asked), np.mean(said, axis=0), atol=1e-6)
    sizes = [size(folder)["parameters"] for folder in (both, both / "seed_18")]
    assert sizes[0] == 2 * sizes[1]


def test_rows_about_others_are_learnt_from() -> None:
    alone = finetune(params(), "alone")
    token_rows(5, 9).save(Path("tokens/counterfactuals"))
    assert content_hash(finetune(params(), "with_others")) != content_hash(alone)
    joined = token_rows(40, 0).followed_by(token_rows(5, 9))
    joined.save(Path("tokens/train"))
    TokenRows.from_rows([], [], np.dtype(np.uint16)).save(Path("tokens/counterfactuals"))
    assert content_hash(finetune(params(), "as_rows")) == content_hash(Path("models/with_others"))


def test_rows_that_weigh_next_to_nothing_teach_next_to_nothing() -> None:
    right = token_rows(40, 0)
    wrong = replace(right, labels=1 - right.labels)
    mostly_wrong = right.followed_by(wrong).followed_by(wrong)
    mostly_wrong.save(Path("tokens/train"))
    learnt = {}
    for name in ("alike", "weighted"):
        finetune(params(), name)
        dev = [record for record in read_json(Path(f"reports/{name}.json")) if record["split"] == "dev"]
        learnt[name] = max(record["accuracy"] for record in dev)
        replace(mostly_wrong, weights=np.repeat([1.0, 0.001, 0.001], 40).astype(np.float32)).save(Path("tokens/train"))
    assert learnt["weighted"] == 1.0 and learnt["alike"] < 0.9


def test_consistency_reaches_the_weights() -> None:
    consistent, alone = (finetune(params(dropout=0.1, consistency=weight), str(weight)) for weight in (1.0, 0.0))
    assert content_hash(consistent) != content_hash(alone)


def test_no_dev_rows_and_missing_tokens_are_named_and_an_older_teacher_stays() -> None:
    out = Path("models/teacher")
    shutil.copytree("models/pretrained", out)
    before = content_hash(out)
    TokenRows.from_rows([], [], np.dtype(np.uint16)).save(Path("tokens/dev"))
    with pytest.raises(InputError, match="dev split has no rows"):
        finetune(params())
    shutil.rmtree("tokens/train")
    with pytest.raises(InputError, match=r"tokens/train/ids\.npy: no such file"):
        finetune(params())
    assert content_hash(out) == before
