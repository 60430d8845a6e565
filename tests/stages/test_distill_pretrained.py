"""The student before it has a task: what it learns from a language model, and that `distill` starts from it."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file
from tokenizers import models, pre_tokenizers
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from pipeline.files import InputError, content_hash, read_json
from pipeline.params import Params, check_params, read_yaml
from pipeline.params.task_types import OF_LAYERS
from pipeline.stages import distill
from pipeline.stages.distill_pretrained import DEV_SEQUENCES, run
from pipeline.tokenization.folder import SPECIAL_TOKENS, assemble, save_tokenizer
from pipeline.tokenization.ragged import TokenRows
from pipeline.tokenization.shards import growing_shards

ROOT = Path(__file__).parents[2]
WORDS = [*SPECIAL_TOKENS.values(), *(f"w{number}" for number in range(20))]
SPECIAL, LENGTH = len(SPECIAL_TOKENS), 16
SHAPE: dict[str, Any] = {
    "layers": 1, "hidden_size": 16, "attention_heads": 2, "intermediate_size": 32, "max_length": 16, "dropout": 0.0,
}  # fmt: skip
TRAINING = {"epochs": 8, "batch_size": 20, "learning_rate": 1e-2, "embeddings_rate": 1.0, "evaluations": 4}
# all words are kept, so that hand-computed divergences leave nothing out
LESSONS = {
    "temperature": 2.0, "jensen_shannon_share": 0.5, "layer_map": [[0, 0], [1, 2]], "relation_map": [[1, 2]],
    "relation_heads": 4, "likeliest": len(WORDS), "max_tokens": 200 * LENGTH,
}  # fmt: skip


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A language model that is sure of what it says, and a corpus in which every word follows from the one before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # what MLflow shows has its own tests
    monkeypatch.setattr("pipeline.stage_run.SECONDS_TO_CLOSE", 0.1)
    model = models.WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]")
    save_tokenizer(
        assemble(model, SPECIAL_TOKENS, None, pre_tokenizers.Whitespace(), None), SPECIAL_TOKENS, LENGTH, Path("lm")
    )
    save_tokenizer(
        assemble(model, SPECIAL_TOKENS, None, pre_tokenizers.Whitespace(), None), SPECIAL_TOKENS, LENGTH, Path("words")
    )
    np.save("words/teacher_ids.npy", np.arange(len(WORDS)))
    _save_bert(BertForMaskedLM, Path("lm"))
    chance = np.random.default_rng(0)
    Path("corpus").mkdir()
    for prefix, count in (("", 200), ("dev_", 40)):
        begins = chance.integers(0, 20, size=(count, 1))
        np.save(f"corpus/{prefix}input_ids.npy", (SPECIAL + (begins + np.arange(LENGTH)) % 20).astype(np.uint16))


def _save_bert(kind: Any, folder: Path) -> None:
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = kind(BertConfig(vocab_size=len(WORDS), max_position_embeddings=LENGTH, hidden_dropout_prob=0.0, **sizes))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)


def values(lessons: dict[str, Any] | None, **losses: float) -> dict[str, Any]:
    """Return the values of params.yaml with a tiny teacher and student, and what the student learns before its task."""
    found = read_yaml(ROOT / "recipes/sentiment-from-scratch.yaml")
    found["runtime"] |= {"threads": 1, "precision": "float32"}
    found["corpus"]["sequence_length"] = LENGTH
    found["pretrain"]["architecture"] |= SHAPE | {"layers": 2, "hidden_size": 32}
    task = found["tasks"]["sentiment"]
    task["max_length"] = LENGTH
    task["student"] |= {"architecture": SHAPE | {"family": "bert"}, "vocabulary_size": None}
    none = dict.fromkeys(task["distill"]["losses"], 0.0)
    task["distill"] |= {"losses": none | {"soft_labels": 1.0}, "layer_map": [], "relation_map": []}
    if lessons is not None:
        training = task["distill"]["training"] | TRAINING
        task["student"]["distill_pretrained"] = lessons | {"losses": none | losses, "training": training}
    return found


def settings(lessons: dict[str, Any] | None, **losses: float) -> Params:
    return check_params(values(lessons, **losses), Path("params.yaml"))


def teach(given: Params, out: str) -> Path:
    places = {"tokens": Path("corpus"), "pretrained": Path("lm"), "out": Path(out), "history": Path(f"{out}.json")}
    run(given, task="sentiment", **places)
    return Path(out)


def test_the_student_comes_near_what_the_language_model_says_of_masked_tokens() -> None:
    out = teach(settings(LESSONS, soft_labels=1.0, hidden_states=0.1), "first")
    found = [record["divergence"] for record in read_json(Path("first.json")) if record["split"] == "dev"]
    train = [record["loss"] for record in read_json(Path("first.json")) if record["split"] == "train"]
    assert train[-1] < 0.5 * train[0]
    assert {path.name for path in out.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    } | {path.name for path in out.glob("generation_config.json")}  # fmt: skip
    assert min(found) == pytest.approx(_divergence(out), rel=1e-4)


def test_a_corpus_in_shards_teaches_the_same(tmp_path: Path) -> None:
    once = LESSONS | {"max_tokens": 150 * LENGTH}
    expected = load_file(teach(settings(once, soft_labels=1.0), "whole") / "model.safetensors")
    found = values(once, soft_labels=1.0)
    found["corpus"]["shards"] = {"url": f"file://{tmp_path}/storage", "megabytes": 0.001, "window": 2}
    found["pretrain"]["embeddings"] = "random"
    rows = np.load("corpus/input_ids.npy")
    with growing_shards(Path("corpus/shards.json"), (LENGTH,), rows.dtype, **found["corpus"]["shards"]) as append:
        append(rows)
    Path("corpus/input_ids.npy").unlink()
    taught = load_file(teach(check_params(found, Path("params.yaml")), "sharded") / "model.safetensors")
    assert all(torch.equal(taught[name], weight) for name, weight in expected.items())


def test_a_student_of_the_teachers_layers_starts_from_the_language_model() -> None:
    found = values(LESSONS | {"layer_map": [], "relation_map": []}, soft_labels=1.0)
    student = found["tasks"]["sentiment"]["student"]
    student |= {"embeddings": "teacher", "layers": "teacher"}
    student["architecture"] |= {"hidden_size": 32}
    student["distill_pretrained"]["training"] |= {"learning_rate": 1e-12, "weight_decay": 0.0, "epochs": 1}
    taught = load_file(teach(check_params(found, Path("params.yaml")), "taught") / "model.safetensors")
    its = load_file("lm/model.safetensors")
    assert {name for name in its if "layer.0" not in name} == {name.replace("layer.0", "layer.1") for name in taught}
    for name, weight in taught.items():
        torch.testing.assert_close(weight, its[name.replace("layer.0", "layer.1")], rtol=0, atol=1e-9)


def _divergence(student: Path) -> float:
    """Return T² KL(teacher ‖ student) at the masked tokens of dev, from transformers' own models of two folders."""
    from pipeline.objectives.masking import Masking
    from pipeline.objectives.vocabulary import Vocabulary

    given = settings(LESSONS, soft_labels=1.0)
    ids = {f"{name}_id": number for number, name in enumerate(SPECIAL_TOKENS)}
    masking = Masking.from_params(given.pretrain, Vocabulary(Path("lm"), len(WORDS), ids))
    rows = np.load("corpus/dev_input_ids.npy")[:DEV_SEQUENCES]
    masked, places = masking.apply(rows, np.random.default_rng([given.runtime.seed, 4]))
    with torch.inference_mode():
        q, p = (
            (BertForMaskedLM.from_pretrained(folder).eval()(torch.from_numpy(masked)).logits[places] / 2).log_softmax(
                -1
            )
            for folder in (Path("lm"), student)
        )
    return float(4 * (q.exp() * (q - p)).sum(dim=-1).mean())


def test_the_same_seed_gives_the_same_bytes_and_asks_the_language_model_once() -> None:
    every = dict.fromkeys(OF_LAYERS, 0.1) | {
        "soft_labels": 1.0,
        "reverse_kl": 0.5,
        "jensen_shannon": 0.5,
        "hard_labels": 0.5,
    }
    first = teach(settings(LESSONS, **every), "first")
    (entry,) = Path(".stillhouse/teacher_cache").iterdir()
    written = entry.stat().st_mtime_ns
    second = teach(settings(LESSONS, **every), "second")
    assert content_hash(first) == content_hash(second)
    assert [item.stat().st_mtime_ns for item in Path(".stillhouse/teacher_cache").iterdir()] == [written]


def test_distill_starts_from_it_and_from_nothing_where_there_is_a_record_alone() -> None:
    _save_bert(BertForSequenceClassification, Path("teacher"))
    chance = np.random.default_rng(0)
    for split, count in (("train", 20), ("dev", 10), ("transfer", 10)):
        rows = [[2, *chance.integers(SPECIAL, len(WORDS), size=5).tolist(), 3] for _ in range(count)]
        labels = np.full(count, -1) if split == "transfer" else np.arange(count) % 2
        for side in ("teacher", "student"):
            TokenRows.from_rows(rows, labels, np.dtype(np.uint16)).save(Path("tokens") / side / split)
    taught, nothing = teach(settings(LESSONS, soft_labels=1.0), "taught"), teach(settings(None), "nothing")
    assert [path.name for path in nothing.iterdir()] == ["distill_pretrained.json"]
    assert read_json(Path("nothing.json")) == []
    still = (
        settings(None)
        .tasks["sentiment"]
        .distill.training.model_copy(update={"learning_rate": 1e-12, "epochs": 1, "weight_decay": 0.0})
    )
    task = settings(None).tasks["sentiment"]
    task = task.model_copy(update={"distill": task.distill.model_copy(update={"training": still})})
    given = settings(None).model_copy(update={"tasks": {"sentiment": task}})
    students = {name: _distilled(given, name) for name in ("taught", "nothing", "nowhere")}
    before = load_file(taught / "model.safetensors")
    encoder = [name for name in students["taught"] if name.startswith("bert.") and "pooler" not in name]
    assert len(encoder) > 15
    for name in encoder:
        torch.testing.assert_close(students["taught"][name], before[name], rtol=0, atol=1e-9)
    for name, weight in students["nothing"].items():
        assert torch.equal(weight, students["nowhere"][name])
    assert not torch.allclose(students["nothing"][encoder[0]], before[encoder[0]], atol=1e-3)


def _distilled(given: Params, pretrained_student: str) -> dict[str, torch.Tensor]:
    out = Path(f"student_of_{pretrained_student}")
    distill.run(
        given, task="sentiment", teacher=Path("teacher"), teacher_tokens=Path("tokens/teacher"),
        student_tokens=Path("tokens/student"), student_tokenizer=Path("words"),
        pretrained_student=Path(pretrained_student), out=out, undistilled=Path(f"un{out}"), soft_labels=Path("soft"),
        history=Path(f"{out}.json"),
    )  # fmt: skip
    return dict(load_file(out / "model.safetensors"))


@pytest.mark.slow
def test_killed_and_resumed_is_the_same_run() -> None:
    found = values(LESSONS, soft_labels=1.0, hidden_states=0.1)
    found["tasks"]["sentiment"]["student"]["distill_pretrained"]["training"] |= {
        "epochs": 4, "checkpoint_minutes": 1e-9,
    }  # fmt: skip
    YAML().dump(found, Path("params.yaml"))
    Path("tokens").mkdir()
    command = [sys.executable, "-m", "pipeline.stages.distill_pretrained", "--task", "sentiment", "--tokens", "corpus"]
    command += ["--pretrained", "lm"]
    for name, kills in (("undisturbed", 0), ("killed", 2)):
        for attempt in range(kills + 1):
            child = subprocess.Popen([*command, "--out", name, "--history", f"{name}.json"])
            if attempt < kills:
                _wait_for_a_checkpoint(child, steps=10 * (attempt + 1))
                child.kill()
            assert child.wait() == (0 if attempt == kills else -9)
    assert content_hash(Path("killed")) == content_hash(Path("undisturbed"))
    assert content_hash(Path("killed.json")) == content_hash(Path("undisturbed.json"))


def _wait_for_a_checkpoint(child: subprocess.Popen[bytes], steps: int) -> None:
    while child.poll() is None:
        folders = Path(".stillhouse/checkpoints").glob("distill_pretrained-sentiment-*/*/complete.json")
        if any(int(path.parent.name.rpartition("-")[2]) >= steps for path in folders):
            return
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"student": {"vocabulary_size": 100}},
            "student.vocabulary_size: must be null (the teacher's tokens) when student.distill_pretrained is given, "
            "got 100",
        ),
        (
            {"student": {"architecture": SHAPE | {"family": "bilstm", "attention_heads": None}}},
            "student.architecture.family: must be bert or roberta or modernbert when student.distill_pretrained is "
            "given, got bilstm",
        ),
    ],
)
def test_a_student_that_cannot_learn_so_is_refused_by_its_key(changes: dict[str, Any], expected: str) -> None:
    found = values(LESSONS, soft_labels=1.0)
    found["tasks"]["sentiment"]["student"] |= changes["student"]
    with pytest.raises(InputError) as error:
        check_params(found, Path("params.yaml"))
    assert str(error.value) == f"params.yaml: tasks.sentiment.{expected}"


@pytest.mark.parametrize("loss", ["logits", "sequences"])
def test_a_loss_that_masked_tokens_do_not_have_is_refused(loss: str) -> None:
    with pytest.raises(InputError, match=rf"student\.distill_pretrained: losses\.{loss}: must be 0, got 0\.5"):
        settings(LESSONS, **{loss: 0.5})


def test_layers_that_are_not_there_are_refused_by_the_key_of_this_section() -> None:
    expected = r"student\.distill_pretrained\.layer_map: got \[1, 3\], expected student layers from 0 to 1 and teacher"
    with pytest.raises(InputError, match=expected):
        settings(LESSONS | {"layer_map": [[1, 3]]}, hidden_states=1.0)
