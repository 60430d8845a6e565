"""The registered student as MLflow loads it: models from code, no pickle, nothing of this repository.

MLflow copies this file beside the weights, so it may import only what the model's requirements name.
"""

import importlib
import json
import math
import re
import unicodedata
from bisect import bisect_left, bisect_right
from functools import partial, wraps
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn

import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext, scoring_server
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

BATCH_ROWS = 32
GRAPH = "model.onnx"  # in the folder of a student that was exported
OWN_FAMILIES = ("bilstm",)  # the modules of pipeline/architectures that are registered beside this file
RECORD = "export.json"  # in the folder of one whose probabilities dev made honest
LIKELIER_THAN_NOT = 0.5  # from where one of any number of labels is given that has no threshold
SEED = 0  # of what a model draws: the same text is gone on with in the same way
MAX_CHARACTERS = 1_000_000  # as ingest has it: what is longer is no text
MIN_ROOM = 8  # tokens of a text that a question has to leave room for, as pipeline/tokenization/questions.py has it
# as pipeline/words.py has it: what the student was taught to label, and how far an answer reaches
MAX_ANSWER_WORDS = 30
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
        _make_server_strict()
        folder = context.artifacts["model"]
        _know_family(Path(folder))
        config = AutoConfig.from_pretrained(folder)
        (architecture,) = config.architectures
        named = (str(config.problem_type), architecture)  # of two tasks with one class the first tells them apart
        self.columns, self.read_rows, load = next(
            HEADS[name] for name in HEADS if any(said.endswith(name) for said in named)
        )
        for purpose in (getattr(config, "task_specific_params", None) or {}).values():
            if "answer" in purpose:  # the name of a text that is written for another
                self.columns, self.read_rows = [purpose["answer"]], _written
        record = Path(folder, RECORD)
        found = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
        self.temperature, self.thresholds = found.get("temperature", 1.0), found.get("thresholds", {})
        if self.thresholds and "label" in self.columns:
            self.columns = [*self.columns, "likeliest"]
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        graph = Path(folder, GRAPH)
        self.model: Any = Graph(graph, config) if graph.is_file() else load(folder).eval()
        known = context.model_config or {}
        self.inputs, self.markers = known.get("inputs", ["text"]), known.get("markers", [])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return a row of answers for each row of texts; refuse, as INVALID_PARAMETER_VALUE, what is no text.

        The input has a column `text`, and one `pair` where the student was taught with pairs of texts. Columns of the
        answer: `label` and `score`, where the model labels whole texts, then `likeliest` where labels have thresholds:
        `label` is None where the score is not over that of the likeliest; `labels`, a list of `{"label", "score"}`, the
        likeliest first, where it gives them any number of labels; `spans`, a list of `{"start", "end", "label",
        "text", "score"}`, where it labels words; `answer`, `start`, `end` and `score`, where it finds in `text` what
        answers `pair`; `similarity`, from -1 to 1, where it compares two texts; `continuation`, where it goes on with
        texts; `translation` or `summary`, where it writes one. What is longer than the model can read is cut.
        """
        rows = _rows(model_input, self.inputs, self.markers)
        by_length = sorted(range(len(rows)), key=lambda position: sum(map(len, rows[position])))
        answers: dict[int, tuple[Any, ...]] = {}
        for start in range(0, len(rows), BATCH_ROWS):
            positions = by_length[start : start + BATCH_ROWS]
            with torch.inference_mode():
                answers |= zip(positions, self.read_rows(self, [rows[place] for place in positions]), strict=True)
        plain = object if self.thresholds else None  # as text, pandas would make NaN of None
        return pd.DataFrame([answers[position] for position in range(len(rows))], columns=self.columns, dtype=plain)

    def batch(self, texts: list[str], *pairs: list[str], truncation: bool | str = True) -> tuple[Any, Any]:
        """Return a batch of texts, or of pairs of them, as tokens, and what the model puts out for it."""
        batch = self.tokenizer(texts, *pairs, truncation=truncation, padding=True, return_tensors="pt")
        # single texts have no token types: training had none, and a GPT would read them as words
        told_apart = bool(pairs) and getattr(self.model.config, "type_vocab_size", 1) > 1
        read = ["input_ids", "attention_mask", *(["token_type_ids"] if told_apart else [])]
        return batch, self.model(**{name: batch[name] for name in read})


def _know_family(folder: Path) -> None:
    """Have transformers know the family of the student in `folder`: what it does not bring was registered as code."""
    family = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    if family in OWN_FAMILIES:
        importlib.import_module(family)


class Graph:
    """A student that was exported, asked as its model would be: with ONNX Runtime, by as many threads as torch has."""

    def __init__(self, graph: Path, config: Any) -> None:
        import onnxruntime

        self.config = config
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # as pipeline/architectures/exported.py has both, and why
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self.inputs = {value.name for value in self.session.get_inputs()}
        self.output = self.session.get_outputs()[0].name

    def __call__(self, **inputs: torch.Tensor) -> Any:
        """Return `logits`, or `vectors` of texts that are compared; start and end are two classes of each token."""
        given = {name: value.numpy() for name, value in inputs.items() if name in self.inputs}
        for name in self.inputs - given.keys():
            given[name] = torch.zeros_like(inputs["input_ids"]).numpy()
        (found,) = self.session.run(None, given)
        output = SimpleNamespace(**{self.output: torch.from_numpy(found)})
        if self.output == "logits" and found.ndim == 3 and found.shape[2] == 2:
            output.start_logits, output.end_logits = output.logits.unbind(dim=-1)
        return output


def _likeliest(student: Student, logits: torch.Tensor) -> tuple[list[Any], list[Any]]:
    """Return the probability and the number of the likeliest class: of each row, or of each token of each row."""
    scores, classes = (logits.double() / student.temperature).softmax(dim=-1).max(dim=-1)
    return scores.tolist(), classes.tolist()


def _labels(student: Student, rows: list[tuple[str, ...]]) -> list[tuple[Any, ...]]:
    """Return the likeliest class of each text, or pair of texts, and its probability.

    With thresholds, None in place of one that is not over its own, and which class was the likeliest.
    """
    _, output = student.batch(*([*column] for column in zip(*rows, strict=True)))
    names, (scores, classes) = student.model.config.id2label, _likeliest(student, output.logits)
    found = [(names[index], score) for index, score in zip(classes, scores, strict=True)]
    if not student.thresholds:
        return found
    return [(name if score > student.thresholds.get(name, 0) else None, score, name) for name, score in found]


def _label_sets(student: Student, rows: list[tuple[str, ...]]) -> list[tuple[list[dict[str, Any]]]]:
    """Return the labels of each text, or pair of texts, that are likelier than not, or than their own thresholds."""
    _, output = student.batch(*([*column] for column in zip(*rows, strict=True)))
    names, answers = student.model.config.id2label, []
    limits = [student.thresholds.get(names[index], LIKELIER_THAN_NOT) for index in range(len(names))]
    for scores in (output.logits.double() / student.temperature).sigmoid().tolist():
        over = [index for index, score in enumerate(scores) if score > limits[index]]
        given = [{"label": names[index], "score": scores[index]} for index in over]
        answers.append((sorted(given, key=lambda said: -said["score"]),))
    return answers


def _spans(student: Student, rows: list[tuple[str, ...]]) -> list[tuple[list[dict[str, Any]]]]:
    """Return the spans of each text."""
    texts, names, answers = [text for (text,) in rows], student.model.config.id2label, []
    batch, output = student.batch(texts)
    for text, encoding, text_scores, text_classes in zip(
        texts, batch.encodings, *_likeliest(student, output.logits), strict=True
    ):
        borders = [match.span() for match in WORD.finditer(text)]
        words = [
            Word(start, end, names[text_classes[token]], text_scores[token])
            for (start, end), token in zip(borders, _first_tokens(encoding, borders), strict=False)
        ]
        answers.append(([_span(text, members) for members in _grouped(words)],))
    return answers


def _written(student: Student, rows: list[tuple[str, ...]]) -> list[tuple[str]]:
    """Return the text that the student writes for each text, as its generation_config.json says."""
    alone = not student.model.config.is_encoder_decoder  # a decoder goes on behind the text, and repeats it
    options = {"padding_side": "left"} if alone else {}
    batch = student.tokenizer([text for (text,) in rows], truncation=True, padding=True, return_tensors="pt", **options)
    ids = student.model.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    ids = ids[:, batch["input_ids"].shape[1] :] if alone else ids
    plain = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    return [(text.strip(),) for text in student.tokenizer.batch_decode(ids, **plain)]


def _first_tokens(encoding: Any, borders: list[tuple[int, int]], sequence: int = 0) -> list[int]:
    """Return the token that holds the first character of each word, up to where the text was cut.

    sequence: which of two texts the words are of. Where a tokenizer leaves a character out, the token before it stands
    for the word.
    """
    places = zip(encoding.offsets, encoding.sequence_ids, strict=True)
    tokens = [(*place, token) for token, (place, text) in enumerate(places) if text == sequence and place[1] > place[0]]
    if not tokens:
        return []
    starts = [start for start, _, _ in tokens]
    limit = max(end for _, end, _ in tokens) if encoding.overflowing else math.inf
    kept = [start for start, _ in borders if start < limit]
    holding = [starts[max(bisect_right(starts, start) - 1, 0)] for start in kept]
    return [tokens[bisect_left(starts, there)][2] for there in holding]  # of several that split one character the first


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


def _answers(student: Student, rows: list[tuple[str, ...]]) -> list[tuple[str, int, int, float]]:
    """Return what answers the question in each text: the likeliest span, where it stands, and its probability.

    A text is read window by window, the next one beginning in the middle of the last, as the student was taught.
    """
    for _, question in rows:
        _check_room(student, question)
    borders = [[match.span() for match in WORD.finditer(text)] for text, _ in rows]
    best: list[tuple[str, int, int, float]] = [("", 0, 0, 0.0)] * len(rows)
    todo = [(row, 0) for row in range(len(rows)) if borders[row]]
    while todo:
        todo, now = todo[BATCH_ROWS:], todo[:BATCH_ROWS]
        begins = [max(borders[row][word - 1][1] if word else 0, borders[row][word][0] - 1) for row, word in now]
        windows = [rows[row][0][begin:] for (row, _), begin in zip(now, begins, strict=True)]
        batch, output = student.batch([rows[row][1] for row, _ in now], windows, truncation="only_second")
        logits = torch.stack([output.start_logits, output.end_logits], dim=-1).double()
        for (row, word), begin, encoding, own in zip(now, begins, batch.encodings, logits, strict=True):
            left = [(start - begin, end - begin) for start, end in borders[row][word:]]
            tokens = _first_tokens(encoding, left, sequence=1)
            first, last, score = _likeliest_place(own[[0, *tokens]]) if tokens else (0, 0, 0.0)
            if score > best[row][3]:
                start, end = borders[row][word + first][0], borders[row][word + last][1]
                best[row] = (rows[row][0][start:end], start, end, score)
            following = word + max(len(tokens) // 2, 1)
            if encoding.overflowing and len(tokens) < len(left) and following < len(borders[row]):
                todo.append((row, following))
    return best


def _likeliest_place(logits: torch.Tensor) -> tuple[int, int, float]:
    """Return the first and the last word of a window's likeliest span, and its probability.

    logits: (1 + words, 2), of start and of end; those of [CLS], which stands for no answer, first.
    """
    start, end = logits.softmax(dim=0)[1:].T
    scores = (start[:, None] * end).triu().tril(MAX_ANSWER_WORDS - 1)
    first, last = divmod(int(scores.argmax()), len(end))
    return first, last, float(scores[first, last])


def _check_room(student: Student, question: str) -> None:
    tokens = len(student.tokenizer(question, add_special_tokens=False)["input_ids"])
    allowed = student.tokenizer.model_max_length - student.tokenizer.num_special_tokens_to_add(pair=True) - MIN_ROOM
    if tokens > allowed:
        _refuse(f"pair has {tokens} tokens and leaves no room for the text, expected a question of at most {allowed}")


def _similarities(student: Student, rows: list[tuple[str, ...]]) -> list[tuple[float]]:
    """Return the cosine of each text's mean hidden state with its pair's, each read by itself."""
    texts, pairs = zip(*rows, strict=True)
    batch, output = student.batch([*texts, *pairs])
    if isinstance(student.model, Graph):
        vectors = output.vectors.double()
    else:
        states, mask = output.last_hidden_state.double(), batch["attention_mask"][:, :, None].double()
        vectors = (states * mask).sum(dim=1) / mask.sum(dim=1)
    first, second = vectors.chunk(2)
    return [(cosine,) for cosine in torch.cosine_similarity(first, second).tolist()]


def _continuations(student: Student, rows: list[tuple[str, ...]]) -> list[tuple[str]]:
    """Return how the model goes on with each text, as the folder's generation_config.json says.

    One text at a time and each from the same seed: what is drawn for one does not hang on the others.
    """
    answers = []
    for (text,) in rows:
        prompt = student.tokenizer(text, truncation=True, return_tensors="pt")["input_ids"]
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            written = student.model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt))
        ids = written[0, prompt.shape[1] :]
        answers.append(
            (str(student.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)),)
        )
    return answers


# by what a model's class does, or its configuration says of it: the answers' columns, how they are made of rows, and
# what loads the folder
HEADS: dict[str, tuple[list[str], Any, Any]] = {
    "multi_label_classification": (["labels"], _label_sets, AutoModelForSequenceClassification.from_pretrained),
    "SequenceClassification": (["label", "score"], _labels, AutoModelForSequenceClassification.from_pretrained),
    "TokenClassification": (["spans"], _spans, AutoModelForTokenClassification.from_pretrained),
    "QuestionAnswering": (["answer", "start", "end", "score"], _answers, AutoModelForQuestionAnswering.from_pretrained),
    "SentenceSimilarity": (["similarity"], _similarities, partial(AutoModel.from_pretrained, add_pooling_layer=False)),
    "LMHeadModel": (["continuation"], _continuations, AutoModelForCausalLM.from_pretrained),
    "CausalLM": (["continuation"], _continuations, AutoModelForCausalLM.from_pretrained),
    "MarianMTModel": ([], _written, AutoModelForSeq2SeqLM.from_pretrained),
    "ConditionalGeneration": ([], _written, AutoModelForSeq2SeqLM.from_pretrained),
}


def _rows(model_input: Any, inputs: list[str], markers: list[str]) -> list[tuple[str, ...]]:
    """Return the texts of each row of a frame that has the columns `inputs`; raise MlflowException for what is none.

    The first one has to hold each of `markers` once.
    """
    columns = [str(column) for column in getattr(model_input, "columns", ())]
    if sorted(columns) != sorted(inputs):
        wanted = f"one column, {inputs[0]}" if len(inputs) == 1 else f"the columns {' and '.join(inputs)}"
        _refuse(f"expected a table with {wanted}, got {type(model_input).__name__} with columns {columns[:10]}")
    rows = list(zip(*(model_input[name] for name in inputs), strict=True))
    for number, row in enumerate(rows):
        for name, text in zip(inputs, row, strict=True):
            _check_text(f"row {number}: {name}", text)
        for marker in markers:
            if (times := row[0].count(marker)) != 1:
                _refuse(f"row {number}: {inputs[0]} has the marker {marker} {times} times, expected once")
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


def _make_server_strict() -> None:
    """Have `mlflow models serve`, where it is what loads the student, refuse numbers and whatever it cannot read.

    By the signature it makes a text of a number under `inputs` and `instances` before the model sees it, and answers
    500 where its own parser fails. It has no hook for either.
    """
    answer = scoring_server.invocations

    @wraps(answer)
    def strictly(data: Any, content_type: str | None, *model: Any) -> Any:
        try:
            if (content_type or "").partition(";")[0].strip() == "application/json":
                request = json.loads(data)
                for key in {"inputs", "instances"} & set(request if isinstance(request, dict) else ()):
                    _check_leaves(key, request[key])
            return answer(data, content_type, *model)
        except MlflowException:
            raise
        except Exception as error:  # nested too deep, a number of thousands of digits, no content type
            _refuse(f"the request cannot be read ({type(error).__name__}), expected JSON or CSV and its content type")

    if not hasattr(answer, "__wrapped__"):  # a process may load more than one student
        scoring_server.invocations = strictly


def _check_leaves(place: str, value: Any) -> None:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if members is None and not isinstance(value, str):
        _refuse(f"{place} must be a string, got {type(value).__name__}")
    for key, member in members or ():
        _check_leaves(f"{place}.{key}", member)


set_model(Student())
