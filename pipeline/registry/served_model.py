"""The registered student as MLflow loads it: models from code, no pickle, nothing of this repository.

MLflow copies this file beside the weights, so it may import only what the model's requirements name.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from statistics import fmean
from typing import Any, NamedTuple, NoReturn

import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

BATCH_ROWS = 32
MAX_CHARACTERS = 1_000_000  # as ingest has it: what is longer is no text
# as pipeline/words.py has it: what the student was taught to label
MARKS = "".join(sign for sign in map(chr, range(2**16)) if unicodedata.category(sign) in ("Mn", "Mc", "Me", "Cf"))
ALONE = r"\u3040-\u3098\u309b-\u30ff\u3400-\u9fff"
WORD = re.compile(rf"[{ALONE}][{MARKS}]*|(?:[^\W{ALONE}]|[{MARKS}])+|[^\w\s][{MARKS}]*")


class Word(NamedTuple):
    """A word's borders in its text, in characters, its likeliest tag and the probability of that."""

    start: int
    end: int
    tag: str
    score: float


class Student(PythonModel):
    """Texts in, one answer each out, in the order they came; the head of the model says what kind of answer."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the `from_pretrained` folder that was registered with this file."""
        folder = context.artifacts["model"]
        config = AutoConfig.from_pretrained(folder)
        self.columns, self.answers, kind = HEADS[config.architectures[0].rpartition("For")[2]]
        if not self.columns:  # a text that is written: what it is called depends on what the student was made for
            (purpose,) = config.task_specific_params.values()
            self.columns = [purpose["answer"]]
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = kind.from_pretrained(folder).eval()
        self.inputs = (context.model_config or {}).get("inputs", ["text"])
        # a student of single texts knows no token types: training had none, and a GPT would read them as words
        told_apart = "pair" in self.inputs and getattr(self.model.config, "type_vocab_size", 1) > 1
        self.read = ["input_ids", "attention_mask", *(["token_type_ids"] if told_apart else [])]

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return a row of answers for each row of texts; refuse, as INVALID_PARAMETER_VALUE, what is no text.

        The input has a column `text`, and one `pair` where the student was taught with pairs of texts. Columns of the
        answer: `label` and `score`, where the model labels whole texts; `spans`, a list of `{"start", "end", "label",
        "text", "score"}`, where it labels words; `translation` or `summary`, where it writes one. What is longer than
        the model can read is cut.
        """
        rows = _rows(model_input, self.inputs)
        by_length = sorted(range(len(rows)), key=lambda position: sum(map(len, rows[position])))
        answers: dict[int, tuple[Any, ...]] = {}
        for start in range(0, len(rows), BATCH_ROWS):
            positions = by_length[start : start + BATCH_ROWS]
            texts, *pairs = ([*column] for column in zip(*(rows[position] for position in positions), strict=True))
            batch = self.tokenizer(texts, *pairs, truncation=True, padding=True, return_tensors="pt")
            with torch.inference_mode():
                answers |= zip(positions, self.answers(self, texts, batch), strict=True)
        return pd.DataFrame([answers[position] for position in range(len(rows))], columns=self.columns)


def _likeliest(student: Student, batch: Any) -> tuple[list[Any], list[Any]]:
    """Return the probability and the number of the likeliest class: of each row, or of each token of each row."""
    logits = student.model(**{name: batch[name] for name in student.read}).logits
    scores, classes = logits.double().softmax(dim=-1).max(dim=-1)
    return scores.tolist(), classes.tolist()


def _labels(student: Student, texts: list[str], batch: Any) -> list[tuple[str, float]]:
    """Return the likeliest class of each text and its probability."""
    names, (scores, classes) = student.model.config.id2label, _likeliest(student, batch)
    return [(names[index], score) for index, score in zip(classes, scores, strict=True)]


def _spans(student: Student, texts: list[str], batch: Any) -> list[tuple[list[dict[str, Any]]]]:
    """Return the spans of each text."""
    names, answers = student.model.config.id2label, []
    for text, encoding, text_scores, text_classes in zip(
        texts, batch.encodings, *_likeliest(student, batch), strict=True
    ):
        words = [
            Word(start, end, names[text_classes[token]], text_scores[token])
            for start, end, token in _first_tokens(text, encoding)
        ]
        answers.append(([_span(text, members) for members in _grouped(words)],))
    return answers


def _written(student: Student, texts: list[str], batch: Any) -> list[tuple[str]]:
    """Return the text that the student writes for each text, as its generation_config.json says."""
    ids = student.model.generate(**{name: batch[name] for name in student.read})
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    return [(text.strip(),) for text in student.tokenizer.batch_decode(ids, **options)]


def _first_tokens(text: str, encoding: Any) -> list[tuple[int, int, int]]:
    """Return each word's borders and the token that holds its first character, up to where the text was cut.

    Where a tokenizer leaves a character out, the token before it stands for the word.
    """
    tokens = [(start, position) for position, (start, end) in enumerate(encoding.offsets) if end > start]
    if not tokens:
        return []
    starts = [start for start, _ in tokens]
    limit = max(end for _, end in encoding.offsets) if encoding.overflowing else len(text)
    borders = [match.span() for match in WORD.finditer(text) if match.start() < limit]
    holding = [starts[max(bisect_right(starts, start) - 1, 0)] for start, _ in borders]
    # of several that split one character the first
    return [(*word, tokens[bisect_left(starts, there)][1]) for word, there in zip(borders, holding, strict=True)]


def _grouped(words: list[Word]) -> list[list[Word]]:
    """Return the words of each span, by the IOB2 scheme: an I-label counts only after a word of the same span."""
    spans: list[list[Word]] = []
    open_label = None
    for word in words:
        part, _, label = word.tag.partition("-")
        if part == "B":
            spans.append([])
        elif part != "I" or label != open_label:
            open_label = None
            continue
        spans[-1].append(word)
        open_label = label
    return spans


def _span(text: str, words: list[Word]) -> dict[str, Any]:
    start, end, label = words[0].start, words[-1].end, words[0].tag.partition("-")[2]
    return {"start": start, "end": end, "label": label, "text": text[start:end], "score": fmean(w.score for w in words)}


# by what a model's class does: the answers' columns, how they are made, and what loads the folder
HEADS: dict[str, tuple[list[str], Any, Any]] = {
    "SequenceClassification": (["label", "score"], _labels, AutoModelForSequenceClassification),
    "TokenClassification": (["spans"], _spans, AutoModelForTokenClassification),
    **dict.fromkeys(("MarianMTModel", "ConditionalGeneration"), ([], _written, AutoModelForSeq2SeqLM)),
}


def _rows(model_input: Any, inputs: list[str]) -> list[tuple[str, ...]]:
    """Return the texts of each row of a frame that has the columns `inputs`; raise MlflowException for what is none."""
    columns = [str(column) for column in getattr(model_input, "columns", ())]
    if sorted(columns) != sorted(inputs):
        wanted = f"one column, {inputs[0]}" if len(inputs) == 1 else f"the columns {' and '.join(inputs)}"
        _refuse(f"expected a table with {wanted}, got {type(model_input).__name__} with columns {columns[:10]}")
    rows = list(zip(*(model_input[name] for name in inputs), strict=True))
    for number, row in enumerate(rows):
        for name, text in zip(inputs, row, strict=True):
            _check_text(f"row {number}: {name}", text)
    return rows


def _check_text(place: str, text: Any) -> None:
    if not isinstance(text, str):
        _refuse(f"{place} must be a string, got {type(text).__name__}")
    if not text.strip():
        _refuse(f"{place} is blank, expected words")
    if len(text) > MAX_CHARACTERS:
        _refuse(f"{place} has {len(text):,} characters, expected at most {MAX_CHARACTERS:,}")
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(f"{place} holds half of a surrogate pair, expected Unicode text")


def _refuse(reason: str) -> NoReturn:
    raise MlflowException(reason, INVALID_PARAMETER_VALUE)


set_model(Student())
