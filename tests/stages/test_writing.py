"""A translation through the real stages, from text to the served model: digits are written as words."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML
from tokenizers import models, pre_tokenizers

from pipeline.files import InputError, read_json
from pipeline.params import Params, check_params
from pipeline.registry import champion
from pipeline.stages import distill, finetune, pretrain, tokenize, tokenize_corpus, train_tokenizer
from pipeline.tokenization.folder import SPECIAL_TOKENS, assemble, save_tokenizer
from pipeline.tokenization.ragged import TokenRows
from tests.stages.stage_runs import run_evaluate, run_register

ROOT = Path(__file__).parents[2]
WORDS = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]
SHAPE = {
    "family": "encoder_decoder", "layers": 2, "decoder_layers": 1, "hidden_size": 48, "attention_heads": 2,
    "intermediate_size": 96, "max_length": 32, "dropout": 0.0,
}  # fmt: skip
ELSEWHERE = """
import json, sys
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(sys.argv[1]), AutoTokenizer.from_pretrained(sys.argv[1])
made = tokenizer(json.loads(sys.argv[2]), padding=True, return_tensors="pt")
print(json.dumps(tokenizer.batch_decode(model.eval().generate(**made), skip_special_tokens=True)))
"""


def settings(**changes: Any) -> Params:
    """Return the recipe of a translation, its models small; changes of the task by path, dots as `__`."""
    values = YAML(typ="safe").load((ROOT / "recipes/multi30k.yaml").read_text())
    values["runtime"]["precision"] = "float32"
    values["corpus"]["sequence_length"] = 16
    values["tokenizer"]["vocabulary_size"] = 300
    values["pretrain"] |= {"architecture": SHAPE, "embeddings": "random"}  # a few rows say nothing of words
    task = values["tasks"]["en-de"]
    task |= {"max_length": 32}
    task["student"]["architecture"] = SHAPE | {"layers": 1}
    task["finetune"] |= {"dropout": 0.0, "label_smoothing": 0.0}
    task["generation"] |= {"max_tokens": 24, "beams": 2}
    task["evaluate"]["bootstrap_samples"] = 100
    task["gate"] |= {"min_rows": 10, "bootstrap_samples": 1000}
    for stage in ("finetune", "distill"):
        training = {"epochs": 60, "batch_size": 10, "learning_rate": 3e-3, "evaluations": 3}
        task[stage]["training"] |= training
    for path, value in changes.items():
        *parents, last = path.split("__")
        section = task
        for parent in parents:
            section = section[parent]
        section[last] = value
    return check_params(values, Path("params.yaml"))


def write_rows(path: Path, texts: list[str], targets: list[str | None]) -> None:
    empty = pa.nulls(len(texts), pa.string())
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "id": pa.array([f"{path.stem}{row:04d}" for row in range(len(texts))]),
        "text": pa.array(texts),
        "pair": empty,
        "label": empty,
        "target": pa.array(targets, pa.string()),
        "source": pa.array(["made"] * len(texts)),
    }
    pq.write_table(pa.table(columns), path)


def in_words(digits: str) -> str:
    return " ".join(WORDS[int(digit)] for digit in digits.split())


def texts(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(str(chance.randrange(10)) for _ in range(chance.randint(2, 6))) for _ in range(count)]


def run_tokenization(given: Params) -> None:
    rows, tokenizer = Path("rows"), Path("tokenizer")
    train_tokenizer.run(given, corpus=rows, init_from=Path("constraints.txt"), out=tokenizer)
    tokenize_corpus.run(given, corpus=rows, tokenizer=tokenizer, out=Path("corpus"))
    run_tokenize(given)


def run_tokenize(given: Params) -> None:
    rows, tokenizer = Path("rows"), Path("tokenizer")
    tokenize.run(
        given, task="en-de", rows=rows, corpus=rows, tokenizer=tokenizer, pretrained=Path("pretrained"),
        out=Path("tokens"), transfer=Path("transfer.parquet"), student_tokenizer=Path("student_tokenizer"),
    )  # fmt: skip


def run_training(given: Params) -> None:
    reports, tokens = Path("reports/en-de"), Path("tokens")
    pretrain.run(
        given, tokens=Path("corpus"), tokenizer=Path("tokenizer"), init_from=Path("constraints.txt"),
        out=Path("pretrained"), history=Path("reports/pretrain/history.json"),
    )  # fmt: skip
    finetune.run(
        given, task="en-de", pretrained=Path("pretrained"), train=tokens / "teacher/train",
        counterfactuals=tokens / "teacher/counterfactuals",
        dev=tokens / "teacher/dev", out=Path("teacher"), history=reports / "finetune.json",
    )  # fmt: skip
    distill.run(
        given, task="en-de", teacher=Path("teacher"), teacher_tokens=tokens / "teacher",
        student_tokens=tokens / "student", student_tokenizer=Path("student_tokenizer"), out=Path("student"),
        pretrained_student=Path("none"),
        undistilled=Path("undistilled"), soft_labels=Path("soft"), history=reports / "distill.json",
    )  # fmt: skip


def targets_of(rows: TokenRows, row: int) -> np.ndarray:
    return np.array(rows.labels[rows.targets[row] : rows.targets[row + 1]])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with 50 rows that train, dev and test all have: kept is what knows them best."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    known = texts(50, seed=1)
    for split in ("train", "dev", "test"):
        write_rows(Path("rows") / f"{split}.parquet", known, [in_words(text) for text in known])
    return tmp_path


def test_a_translation_is_learnt_by_heart_distilled_measured_registered_and_served(project: Path) -> None:
    given = settings()
    run_tokenization(given)
    run_training(given)
    out = run_evaluate(given, "en-de", project, project / "reports/en-de")
    found = read_json(out / "evaluation.json")
    assert found["teacher"]["bleu"] >= 0.99 and found["student"]["bleu"] >= 0.99
    assert found["student"]["chrf"] >= 0.99
    assert found["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp")
    assert found["comparison"]["agreement"] >= 0.98
    assert found["confusion"] == found["reliability"] == []
    baselines = {name: figures["bleu"] for name, figures in found["baselines"].items()}
    assert baselines["copy"] == 0 and baselines["word_by_word"] == 1
    rows = pq.read_table(out / "predictions.parquet").to_pylist()
    assert rows[0]["label"] == in_words(rows[0]["text"]) == rows[0]["student"]

    taught, wanted = TokenRows.load(project / "soft/train"), TokenRows.load(project / "tokens/student/train")
    alike = [np.array_equal(targets_of(taught, row), targets_of(wanted, row)) for row in range(len(wanted))]
    assert len(taught) == len(wanted) and sum(alike) >= 48  # what the teacher writes, which knows nearly all rows

    summary = run_register(given, "en-de", project)
    assert summary["student"]["rows_per_second"] > 0
    assert summary["registered"]["aliases"] == ["champion"]
    asked = texts(50, seed=1)[:2]
    answers = champion.predict("en-de", [{"text": text} for text in asked])
    command = [sys.executable, "-c", ELSEWHERE, str(project / "student"), json.dumps(asked)]
    said = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert answers == [{"text": text, "translation": text_} for text, text_ in zip(asked, said, strict=True)]
    assert said == [in_words(text) for text in asked]


def test_targets_end_with_the_end_token_unless_they_are_cut(project: Path) -> None:
    given = settings(generation__max_tokens=5)
    run_tokenization(given)
    rows = TokenRows.load(Path("tokens/teacher/train"))
    end = rows[0][-1]
    for row in range(len(rows)):
        labels = targets_of(rows, row)
        assert len(labels) <= 5
        assert len(labels) == 5 or labels[-1] == end
        assert end not in labels[:-1]
    assert len(TokenRows.load(Path("tokens/teacher/transfer"))) == 0


def test_a_row_without_a_target_is_named(project: Path) -> None:
    run_tokenization(settings())
    write_rows(Path("rows/dev.parquet"), ["1", "2"], ["eins", None])
    with pytest.raises(InputError, match=r"rows/dev.parquet: row dev0001: no target, expected a text"):
        run_tokenize(settings())


def test_targets_that_the_tokenizer_cannot_write_are_refused_and_a_rare_one_is_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, letters = settings(), sorted({*"0123456789", *"".join(WORDS)})
    pieces = [*SPECIAL_TOKENS.values(), *letters, *(f"##{letter}" for letter in letters)]
    model = models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]")
    spelling = assemble(model, SPECIAL_TOKENS, None, pre_tokenizers.BertPreTokenizer(), None)
    save_tokenizer(spelling, SPECIAL_TOKENS, 32, Path("tokenizer"))
    run_tokenize(given)
    assert "cannot write" not in capsys.readouterr().out
    known = texts(400, seed=1)
    write_rows(Path("rows/dev.parquet"), [*known, "1 2"], [*map(in_words, known), "eins 2w€i"])
    run_tokenize(given)
    said = capsys.readouterr().out
    assert "rows/dev.parquet: row dev0400: the tokenizer cannot write all of the target 'eins 2w€i'; 1 of the" in said
    write_rows(Path("rows/dev.parquet"), ["1", "1 2", "2"], ["eins", "eins 2w€i", "€"])
    expected = r"dev\.parquet: row dev0001: .*; 2 of the split's \d+ tokens .* unknown, expected at most 0\.1% "
    with pytest.raises(InputError, match=expected):
        run_tokenize(given)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"finetune__consistency": 1.0, "finetune__dropout": 0.1}, "finetune.consistency: must be 0 for translation"),
        ({"generation": None}, "generation: must be given for translation"),
        ({"generation__max_tokens": 40}, r"max_length: must be >= tasks.en-de.generation.max_tokens \(40\)"),
        ({"max_length": 64}, r"architecture.max_length: must be >= tasks.en-de.max_length \(64\)"),
        ({"distill__losses__sequences": 0.0, "distill__losses__soft_labels": 1.0}, "soft_labels: must be 0 for trans"),
        ({"distill__losses__sequences": 0.0}, "distill.losses.sequences: must be > 0 for translation"),
        ({"distill__losses__hard_labels": 1.0}, "hard_labels: must be 0 for translation"),
        ({"student__vocabulary_size": 200}, "student.vocabulary_size: must be null"),
        ({"student__architecture__decoder_layers": None}, "decoder_layers must be given for family encoder_decoder"),
        ({"gate__metric": "accuracy"}, "gate.metric must be one of bleu, chrf for translation"),
        ({"labels": ["a"]}, "labels: must not be given for translation"),
    ],
)  # fmt: skip
def test_what_does_not_fit_a_translation_is_named(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        settings(**change)
