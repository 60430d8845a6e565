"""The registered student that answers questions: the answers that evaluate finds, long texts, what it refuses."""

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForQuestionAnswering
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.files import InputError
from pipeline.registry import champion, served_model
from pipeline.tasks import TASKS
from pipeline.tokenization import questions
from pipeline.tokenization.folder import SPECIAL_TOKENS, load_tokenizer, save_tokenizer
from pipeline.tokenization.table import AnswerPlace
from pipeline.tokenization.training import train_wordpiece
from pipeline.training.prediction import predict_logits
from pipeline.words import MAX_ANSWER_WORDS, words
from tests.registered_students import make_champion, register_student, registry_in

MAX_LENGTH, NAME, ROOT = 24, "answers", Path(__file__).parents[2]
PIECES = ["\x07", "Ada", "babbage", "met", "in", "1833", "東京", "cafe\u0301", ",", "?", "\u200d", "  ", "\n", "zzz"]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=50).map(" ".join)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A version of a student that answers by chance, and widely so, as MLflow loads it."""
    root = tmp_path_factory.mktemp("registry")
    with registry_in(root) as mlflow:
        corpus = [" ".join([*PIECES, "the engine of lovelace stood in the tower"]).lower()] * 5
        tokenizer = train_wordpiece(lambda: iter([corpus]), 40, True, 1)
        torch.manual_seed(0)
        shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        names = TASKS["question_answering"]()(["answer"]).names
        config = BertConfig(
            vocab_size=40, pad_token_id=0, max_position_embeddings=MAX_LENGTH, initializer_range=0.7, **shape, **names
        )
        BertForQuestionAnswering(config).save_pretrained("student")
        save_tokenizer(tokenizer, SPECIAL_TOKENS, MAX_LENGTH, Path("student"))
        register_student(mlflow, NAME, Path("student"))
        make_champion(mlflow, NAME)
        yield mlflow.pyfunc.load_model(f"models:/{NAME}@champion")


def ask(student: Any, *texts: str, pair: str = "who met?") -> list[dict[str, Any]]:
    rows = pd.DataFrame({"text": [*texts], "pair": [pair] * len(texts)}, dtype=object)
    return list(student.predict(rows).to_dict(orient="records"))


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(TEXTS)
def test_answers_are_those_that_evaluate_finds(student: Any, text: str) -> None:
    if not text.strip():
        return
    task, folder = TASKS["question_answering"]()(["answer"]), Path("student")
    tokenizer = load_tokenizer(folder)[0]
    rows = questions.encode_questions(tokenizer, [text], [AnswerPlace("a", 0, 1)], MAX_LENGTH, ["who met?"])
    logits = predict_logits(task.load(folder), rows, batch_size=1, pad_token_id=0, dtype=torch.float32)
    (answer,) = ask(student, text)
    assert [answer["answer"]] == task.answers(logits, rows, [text])
    assert text[answer["start"] : answer["end"]] == answer["answer"] and 0 <= answer["score"] <= 1


def test_texts_of_many_windows_are_answered_alike_alone_and_beside_others(student: Any) -> None:
    chance = random.Random(0)
    texts = [" ".join(chance.choices(PIECES, k=chance.choice([3, 20, 200]))) + " Ada" for _ in range(40)]
    together = ask(student, *texts)
    assert any(answer["start"] > 100 for answer in together)  # beyond a first window
    for text, answer in zip(texts, together, strict=True):
        (alone,) = ask(student, text)
        assert alone == answer | {"score": pytest.approx(answer["score"], abs=1e-5)}
        assert len(words(answer["answer"])) <= MAX_ANSWER_WORDS


def test_numbers_that_are_written_twice_are_the_same() -> None:
    assert (served_model.MIN_ROOM, served_model.MAX_ANSWER_WORDS) == (questions.MIN_ROOM, MAX_ANSWER_WORDS)


def test_a_text_without_words_has_no_answer(student: Any) -> None:
    assert ask(student, "\x07") == [{"answer": "", "start": 0, "end": 0, "score": 0.0}]


def test_a_question_without_room_for_the_text_is_refused(student: Any) -> None:
    row = {"text": "Ada met Babbage.", "pair": "who met Ada in 1833, " * 9}
    with pytest.raises(InputError, match=r"pair has \d+ tokens and leaves no room for the text") as raised:
        champion.predict(NAME, [row])
    assert "\n" not in str(raised.value)
    (answer,) = champion.predict(NAME, [row | {"pair": "who?"}])
    assert [*answer] == ["text", "pair", "answer", "start", "end", "score"]


def test_the_signature_names_the_answers_columns(student: Any) -> None:
    assert [(column.name, column.type.name) for column in student.metadata.signature.outputs] == [
        ("answer", "string"), ("start", "long"), ("end", "long"), ("score", "double"),
    ]  # fmt: skip
    assert [column.name for column in student.metadata.signature.inputs] == ["text", "pair"]


def test_the_answer_is_found_in_the_passages_that_fit_the_question(student: Any) -> None:
    parameters = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(parameters.replace("\n  sentiment:\n", f"\n  {NAME}:\n"), encoding="utf-8")
    others = [f"Nobody was in the tower, {word}." for word in ("zzz", "cafe", "1833", "ada", "engine", "of")]
    Path("passages.txt").write_text("\n".join(["", *others, "Babbage met her in 1833."]), encoding="utf-8")
    asked = ["predict", "--pair", "Who met Babbage?", "--passages"]
    result = CliRunner().invoke(app, [*asked, "passages.txt"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert [*answer] == ["text", "pair", "answer", "start", "end", "score", "passage"]
    assert Path("passages.txt").read_text(encoding="utf-8").splitlines()[answer["passage"] - 1] == answer["text"]
    Path("passages.txt").write_text("\n \n", encoding="utf-8")
    for arguments, expected in (
        ([*asked, "passages.txt"], "passages.txt: no passages, expected one a line"),
        ([*asked, "none.txt"], "none.txt: no such file, expected one passage a line"),
        ([*asked, "passages.txt", "a text"], "expected TEXT"),
        (["predict"], "expected TEXT"),
    ):
        refused = CliRunner().invoke(app, arguments)
        assert refused.exit_code and expected in f"{refused.output}{refused.exception}", arguments
