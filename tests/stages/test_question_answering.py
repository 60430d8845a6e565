"""Question answering through the real stages, from text to a registered student that says elsewhere what it learnt."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.evaluation.figures import score
from pipeline.evaluation.table import SPANS
from pipeline.files import InputError, read_json
from pipeline.params import Params
from pipeline.registry import champion
from pipeline.stages import distill, finetune, pretrain, tokenize
from pipeline.tokenization.ragged import TokenRows
from tests.stages.stage_runs import run_evaluate, run_register
from tests.stages.tokenization_project import (
    CORPUS,
    TOKENIZER,
    params,
    run_tokenize_corpus,
    run_train_tokenizer,
    write_table,
)

pytestmark = pytest.mark.usefixtures("tokenization_project")
TASK, MAX_LENGTH = "sentiment", 32
NAMES, PLACES = ["Ada Jones", "Bob", "Carla de Luna", "Zoé"], ["Rome", "New York", "the Old Mill", "東京"]
QUESTIONS = {"who": "Who sang?", "where": "Where was it?"}
FILLER = "Nothing else was said of it, nothing at all."
ELSEWHERE = """
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
print(json.dumps(model.predict(pd.DataFrame(json.load(sys.stdin))).to_dict(orient="records")))
assert not any(name.split(".")[0] == "pipeline" for name in sys.modules)
"""


def question(chance: random.Random) -> tuple[str, str, int, int]:
    """Return a passage of one window or of several, a question about it, and where the answer is."""
    name, place, wanted = chance.choice(NAMES), chance.choice(PLACES), chance.choice([*QUESTIONS])
    around = [FILLER] * chance.choice([0, 0, 0, 2])
    around.insert(chance.randint(0, len(around)), f"{name} sang in {place}.")
    text, answer = " ".join(around), name if wanted == "who" else place
    return text, QUESTIONS[wanted], text.index(answer), text.index(answer) + len(answer)


def write_questions(path: Path, rows: list[tuple[str, str, int, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    spans = [[{"start": start, "end": end, "label": "answer"}] for _, _, start, end in rows]
    columns = {
        "id": pa.array([f"{path.stem}{row:03d}" for row in range(len(rows))]),
        "text": pa.array([text for text, *_ in rows]),
        "pair": pa.array([pair for _, pair, *_ in rows]),
        "label": pa.nulls(len(rows), pa.string()),
        "spans": pa.array(spans, SPANS),
        "source": pa.array(["s"] * len(rows)),
    }
    pq.write_table(pa.table(columns), path)


def settings() -> Params:
    training = {"batch_size": 16, "learning_rate": 3e-3, "evaluations": 6, "embeddings_rate": 1.0}
    stages = {"finetune": 30, "distill": 60}
    task: dict[str, Any] = {f"{stage}__training__{key}": training[key] for stage in stages for key in training}
    task |= {f"{stage}__training__epochs": epochs for stage, epochs in stages.items()}
    task |= {"distill__losses__hard_labels": 1.0}
    task |= {"student__architecture__hidden_size": 96, "student__architecture__attention_heads": 2}
    task |= {"type": "question_answering", "labels": ["answer"], "max_length": MAX_LENGTH}
    task |= {"evaluate__slices": [], "evaluate__identity_groups": []}
    task |= {"student__vocabulary_size": 100, "gate__metric": "token_f1", "transfer__sentences": 0}
    dataset = {
        "path": "data/raw/questions.json",
        "source": {"kind": "file", "format": "squad", "header": None, "files": None, "origin": None},
        "columns": {"text": "context", "pair": "question", "spans": "answers", "group": "title"},
        "labels": {"answer": "answer"},
        "only_sources": None,
    }
    return params(
        **{f"datasets__rotten_tomatoes__{key}": value for key, value in dataset.items()},
        **{f"tasks__{TASK}__{key}": value for key, value in task.items()},
        pretrain__architecture__hidden_size=96,
        runtime__precision="float32",
        tokenizer__vocabulary_size=110,
    )


def write_rows(given: Params, rows: list[tuple[str, str, int, int]]) -> None:
    """Write the same rows as each split, and a tokenizer made of them."""
    for split in ("train", "dev", "test"):
        write_questions(Path("rows") / f"{split}.parquet", rows)
        write_table(CORPUS / f"{split}.parquet", [f"{text} {pair}" for text, pair, *_ in rows], None)
    run_train_tokenizer(given)


def run_stages(given: Params, rows: list[tuple[str, str, int, int]]) -> None:
    """Run the stages from the tokenizer to `evaluate`; what is known by heart is what is asked."""
    write_rows(given, rows)
    run_tokenize_corpus(given)
    run_tokenize(given)
    pretrain.run(
        given, tokens=Path("tokens/corpus"), tokenizer=TOKENIZER, init_from=Path("constraints.txt"),
        out=Path("pretrained"), history=Path("reports/pretrain/history.json"),
    )  # fmt: skip
    reports, tokens = Path("reports") / TASK, Path("tokens")
    finetune.run(
        given, task=TASK, pretrained=Path("pretrained"), train=tokens / "teacher/train",
        counterfactuals=tokens / "teacher/counterfactuals", dev=tokens / "teacher/dev",
        out=Path("teacher"), history=reports / "finetune.json",
    )  # fmt: skip
    distill.run(
        given, task=TASK, teacher=Path("teacher"), teacher_tokens=tokens / "teacher", student_tokens=tokens / "student",
        student_tokenizer=Path("student_tokenizer"), out=Path("student"), undistilled=Path("undistilled"),
        pretrained_student=Path("none"),
        soft_labels=Path("soft"), history=reports / "distill.json",
    )  # fmt: skip
    run_evaluate(given, TASK, Path(), reports)


def run_tokenize(given: Params) -> None:
    tokenize.run(
        given, task=TASK, rows=Path("rows"), corpus=CORPUS, tokenizer=TOKENIZER, pretrained=Path("pretrained"),
        out=Path("tokens"), transfer=Path("transfer.parquet"), student_tokenizer=Path("student_tokenizer"),
    )  # fmt: skip


def test_what_is_learnt_by_heart_is_answered_by_the_registered_student_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/mlflow.db")
    chance, given = random.Random(2), settings()
    rows = [question(chance) for _ in range(50)]
    run_stages(given, rows)
    tokens = {side: TokenRows.load(Path("tokens") / side / "test") for side in ("teacher", "student")}
    assert len(tokens["student"]) > len(rows) and len(tokens["student"]) == len(tokens["teacher"])
    assert tokens["student"].labels.tolist() == tokens["teacher"].labels.tolist()
    evaluation = read_json(Path("reports") / TASK / "evaluation.json")
    for side in ("teacher", "student"):
        assert evaluation[side]["token_f1"] >= 0.99, side
    assert {"most_similar_sentence", "frozen_encoder_reader", "undistilled_student"} == {*evaluation["baselines"]}
    retrieval = evaluation["retrieval"]
    assert retrieval["passages"] == len({text for text, *_ in rows})
    assert retrieval["questions"] == len(rows) and list(retrieval["found_by"]) == ["bm25"]
    assert 0 < retrieval["found_by"]["bm25"]["recall_at_1"] <= retrieval["found_by"]["bm25"]["recall_at_5"] <= 1
    assert 0 < retrieval["student"]["token_f1"] <= 1
    assert evaluation["confusion"] == [] and evaluation["classes"] == []

    registered = run_register(given, TASK, Path())["registered"]
    assert registered["aliases"] == ["champion"]
    asked = {"text": [text for text, *_ in rows], "pair": [pair for _, pair, *_ in rows]}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", ELSEWHERE, f"models:/{TASK}@champion"]
    run = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    served = json.loads(run.stdout)
    kept = pq.read_table(Path("reports") / TASK / "predictions.parquet").to_pydict()
    assert [answer["answer"] for answer in served] == kept["student"]
    assert score("token_f1", kept["label"], [answer["answer"] for answer in served]) >= 0.99
    for text, answer in zip(asked["text"], served, strict=True):
        assert text[answer["start"] : answer["end"]] == answer["answer"] and 0 < answer["score"] <= 1
    (row,) = champion.predict(TASK, [{"text": "Bob sang in Rome.", "pair": "Who sang?"}])
    assert [*row] == ["text", "pair", "answer", "start", "end", "score"]


def test_a_question_without_room_and_a_row_without_an_answer_are_named() -> None:
    chance, given = random.Random(2), settings()
    rows = [question(chance) for _ in range(50)]
    write_rows(given, rows)
    text, _, start, end = rows[0]
    write_questions(Path("rows/dev.parquet"), [rows[0], (text, "who sang " * 20, start, end)])
    with pytest.raises(InputError, match=r"row dev001: its question has \d+ tokens and leaves no room for the text"):
        run_tokenize(given)
    table = pq.read_table("rows/dev.parquet")
    empty = table.set_column(table.schema.get_field_index("spans"), "spans", pa.array([[], []], SPANS))
    pq.write_table(empty, "rows/dev.parquet")
    with pytest.raises(InputError, match=r"row dev000: spans \[\], expected the one answer, one of \['answer'\]"):
        run_tokenize(given)
