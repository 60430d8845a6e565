"""Every loss for every type of task that it applies to, through the real stage; every other one is refused.

Losses and types are those of `pipeline.params`: a new one is covered without a line here, but for a type whose rows are
of a new kind.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import models, pre_tokenizers
from transformers import GPT2LMHeadModel

from pipeline.architectures import ARCHITECTURES, family_of
from pipeline.files import InputError, read_json
from pipeline.params import ArchitectureParams, LossWeights, Params, check_params, read_yaml
from pipeline.params.task_types import OF_LAYERS, TASK_TYPES
from pipeline.stages.distill import run
from pipeline.tasks import TASKS
from pipeline.tasks.writing import with_written
from pipeline.tokenization.folder import SPECIAL_TOKENS, assemble, save_tokenizer
from pipeline.tokenization.ragged import TokenRows
from pipeline.words import ENDS, STARTS
from tests.tiny_students import says_always

pytestmark = pytest.mark.usefixtures("tracked_folder")
ROOT = Path(__file__).parents[2]
VOCABULARY, CLS, SEP = 24, 2, 3
SHAPE = {
    "layers": 2,
    "hidden_size": 16,
    "attention_heads": 2,
    "intermediate_size": 16,
    "max_length": 32,
    "dropout": 0.0,
}
# every step sees all rows, so that the loss of one can be compared with that of another
TRAINING = {
    "epochs": 24, "batch_size": 30, "learning_rate": 2e-2, "embeddings_rate": 1.0, "evaluations": 4, "patience": 4,
}  # fmt: skip
SEVERAL_LABELS = "multi_label_classification"
COUNTS = {"train": 20, "dev": 10, "transfer": 10}
SINGLE = [(type_, loss) for type_, kind in TASK_TYPES.items() for loss in kind.losses]
REFUSED = [
    (type_, loss) for type_, kind in TASK_TYPES.items() for loss in LossWeights.model_fields if loss not in kind.losses
]


def recipe_of(type_: str) -> tuple[dict[str, Any], str]:
    """Return the values of the first recipe that has a task of this type, and the task's name.

    Of several labels there is no recipe: one of single labels is made one of them.
    """
    wanted = "text_classification" if type_ == SEVERAL_LABELS else type_
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        values = read_yaml(path)
        for name, task in values["tasks"].items():
            if task["type"] == wanted:
                values["tasks"] = {name: task | {"type": type_}}
                if wanted != type_:
                    columns = values["datasets"][task["dataset"]]["columns"]
                    columns["labels"] = columns.pop("label")
                    task["gate"] |= {"metric": TASK_TYPES[type_].metrics[0], "max_flip_rate": None}
                    task["evaluate"] |= {"identity_groups": []}
                return values, name
    raise LookupError(f"no recipe has a task of type {type_}")


def settings(type_: str, student: str | None = None, **losses: float) -> tuple[Params, str]:
    """Return a recipe's parameters with a tiny teacher and a student half as wide; and the name of the task.

    student: its family where it is not the teacher's.
    """
    values, name = recipe_of(type_)
    task = values["tasks"][name]
    family = TASK_TYPES[type_].families[0]
    shape = SHAPE | {"family": family} | ({"decoder_layers": 1} if family == "encoder_decoder" else {})
    values["runtime"] |= {"threads": 1, "precision": "float32"}
    values["corpus"]["sequence_length"] = 16
    if values["pretrain"]["architecture"] is not None:
        values["pretrain"]["architecture"] = shape | {"dropout": 0.1}
    task |= {"max_length": 24}
    task["student"] |= {"architecture": shape | {"hidden_size": 8, "layers": 1}, "vocabulary_size": None}
    if student is not None:
        task["student"]["architecture"] |= {"family": student, "attention_heads": None if student == "bilstm" else 2}
    task["distill"]["losses"] = dict.fromkeys(LossWeights.model_fields, 0.0) | losses
    task["distill"] |= {"layer_map": [[1, 2]], "relation_map": [[1, 2]], "relation_heads": 4}
    task["distill"] |= {"jensen_shannon_share": 0.5, "labelled_weight": 2.0}
    task["distill"]["training"] |= TRAINING
    if type_ == "text_generation":
        task["distill"]["likeliest"] = 8
    if task["generation"]:
        task["generation"] |= {"max_tokens": 6, "beams": 1}
    return check_params(values, Path("params.yaml")), name


def token_rows(type_: str, classes: int, count: int, seed: int, *, labelled: bool) -> TokenRows:
    """Return rows as `tokenize` leaves them for a type of task: random words, labels that follow from them."""
    chance = np.random.default_rng(seed)
    rows = [[CLS, *chance.integers(5, VOCABULARY, size=chance.integers(3, 8)).tolist(), SEP] for _ in range(count)]
    whole = TokenRows.from_rows(
        rows, [row[1] % max(classes, 1) if labelled else -1 for row in rows], np.dtype(np.uint16)
    )
    if type_ == "text_classification":
        return whole
    if type_ == SEVERAL_LABELS:
        given = np.array([[label in row for label in range(5, 5 + classes)] for row in rows], dtype=np.int8)
        return TokenRows.one_label_each(whole.ids, whole.offsets, given if labelled else np.full_like(given, -1))
    if type_ == "sentence_similarity":
        seconds = np.array([len(row) for row in rows], dtype=np.int64)
        pairs = TokenRows.from_rows([row + row[:2] + [SEP] for row in rows], whole.labels, np.dtype(np.uint16))
        scores = np.array([row[1] / VOCABULARY if labelled else -1 for row in rows], dtype=np.float32)
        return TokenRows.one_label_each(pairs.ids, pairs.offsets, scores, seconds)
    if type_ in ("translation", "summarization"):
        return with_written(whole, [np.array([*reversed(row[1:3]), SEP]) for row in rows])
    if type_ == "text_generation":
        places = [np.arange(len(row) - 1) for row in rows]
        labels = [np.array(row[1:]) for row in rows]
    elif type_ == "question_answering":
        places = [np.arange(len(row) - 1) for row in rows]  # [CLS], which is no answer, and every word
        labels = [np.array([0, STARTS, ENDS, *[0] * (len(row) - 4)]) for row in rows]
    else:
        places = [np.arange(1, len(row) - 1) for row in rows]
        labels = [np.array(row[1:-1]) % classes for row in rows]
    flat = np.concatenate(labels).astype(np.int64)
    return TokenRows(
        ids=whole.ids,
        offsets=whole.offsets,
        labels=flat if labelled or type_ == "text_generation" else np.full_like(flat, -1),
        targets=np.cumsum([0, *map(len, places)]),
        positions=np.concatenate(places).astype(np.int64),
        seconds=whole.seconds,
        owners=whole.owners,
    )


def write_project(given: Params, name: str) -> None:
    """Write a teacher with random weights, the rows of both sides and the tokenizer into the current folder."""
    task = given.tasks[name]
    head = TASKS[task.type]().from_params(task)
    classes = len(task.labels if task.type == SEVERAL_LABELS else head.classes)
    for split, (seed, count) in zip(COUNTS, enumerate(COUNTS.values()), strict=True):
        rows = token_rows(task.type, classes, count, seed, labelled=split != "transfer")
        for side in ("teacher", "student"):
            rows.save(Path("tokens") / side / split)
    words = [*SPECIAL_TOKENS.values(), *(f"w{i}" for i in range(5, VOCABULARY))]
    model = models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    tokenizer = assemble(model, SPECIAL_TOKENS, None, pre_tokenizers.Whitespace(), None)
    save_tokenizer(tokenizer, SPECIAL_TOKENS, 24, Path("tokenizer"))
    np.save("tokenizer/teacher_ids.npy", np.arange(VOCABULARY))
    student = task.student.architecture
    family = TASK_TYPES[task.type].families[0]
    sizes = {"family": family, "hidden_size": 16, "layers": 2, "attention_heads": SHAPE["attention_heads"]}
    shape = ArchitectureParams.model_validate(student.model_dump() | sizes)
    names = head.names | ({"eos_token_id": SEP} if task.generation else {})
    torch.manual_seed(1)
    build = ARCHITECTURES[family]().build
    teacher = build(shape, head=head.head, vocabulary_size=VOCABULARY, pad_token_id=0, **names)
    for parameter in teacher.parameters():
        if parameter.ndim > 1:  # one that is sure of what it says
            torch.nn.init.normal_(parameter, std=0.5)
    head.described(teacher).save_pretrained("teacher")


def distil(type_: str, student: str | None = None, **losses: float) -> list[dict[str, Any]]:
    """Run the stage; return what the training of the student said of its loss."""
    given, name = settings(type_, student, **losses)
    write_project(given, name)
    return records_of_stage(given, name)


def records_of_stage(given: Params, name: str) -> list[dict[str, Any]]:
    run(
        given, task=name, teacher=Path("teacher"), teacher_tokens=Path("tokens/teacher"),
        student_tokens=Path("tokens/student"), student_tokenizer=Path("tokenizer"), out=Path("student"),
        pretrained_student=Path("none"),
        undistilled=Path("undistilled"), soft_labels=Path("soft"), history=Path("history.json"),
    )  # fmt: skip
    task = given.tasks[name]
    assert TASKS[task.type]().from_params(task).load(Path("student")).config.hidden_size == 8
    records: list[dict[str, Any]] = read_json(Path("history.json"))
    return [record for record in records if record["model"] == "student"]


def learnt(records: list[dict[str, Any]]) -> float:
    """Return the share of the training loss that is gone at the end."""
    losses = [record["loss"] for record in records if record["split"] == "train"]
    assert np.isfinite(losses).all() and losses[0] > 0
    return 1 - float(losses[-1] / losses[0])


@pytest.mark.slow
@pytest.mark.parametrize(("type_", "loss"), SINGLE)
def test_every_loss_alone_is_learnt(type_: str, loss: str) -> None:
    assert learnt(distil(type_, **{loss: 1.0})) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("type_", [type_ for type_, kind in TASK_TYPES.items() if "bilstm" in kind.families])
def test_a_bilstm_learns_by_all_losses_on_answers(type_: str) -> None:
    losses = [loss for loss in TASK_TYPES[type_].losses if loss not in OF_LAYERS]
    assert learnt(distil(type_, "bilstm", **dict.fromkeys(losses, 1.0))) > 0.1


@pytest.mark.parametrize("student", ["gpt", "modernbert"])
def test_a_student_of_another_family_learns_of_its_bert_by_answers_and_hidden_states(student: str) -> None:
    losses = dict.fromkeys(["soft_labels", "hidden_states", "hidden_cosines"], 1.0)
    records = distil("text_classification", student, **losses)
    assert learnt(records) > 0.7  # with layers that learn nothing no more than 0.6
    assert records[-1]["divergence"] < 0.2  # by layers alone no less than 0.4
    assert [family_of(Path(name)) for name in ("teacher", "student")] == ["bert", student]


def test_of_a_language_models_likeliest_tokens_the_history_says_how_much_is_kept() -> None:
    given, name = settings("text_generation", soft_labels=1.0)
    distill = given.tasks[name].distill.model_copy(update={"temperature": 2.0})
    given = given.model_copy(update={"tasks": {name: given.tasks[name].model_copy(update={"distill": distill})}})
    write_project(given, name)
    teacher = GPT2LMHeadModel.from_pretrained("teacher")
    logits = torch.zeros(VOCABULARY)
    logits[5:13] = 2 * math.log(6)  # at temperature 2 eight tokens weigh 6 each, sixteen 1: 48 of 64
    says_always(teacher, logits)
    teacher.save_pretrained("teacher")
    records = [record for record in records_of_stage(given, name) if record["split"] == "dev"]
    assert [record["mass_kept"] for record in records] == pytest.approx([3 / 4] * len(records), abs=1e-5)
    likeliest, probabilities = np.load("soft/dev_likeliest.npy"), np.exp(np.load("soft/dev.npy"))
    assert {tuple(sorted(row)) for row in likeliest.tolist()} == {tuple(range(5, 13))}
    np.testing.assert_allclose(probabilities, np.tile([*[6 / 64] * 8, 1 / 4], (len(likeliest), 1)), rtol=1e-4)


@pytest.mark.parametrize(
    "type_", [type_ for type_, kind in TASK_TYPES.items() if "bilstm" not in kind.families and "bert" in kind.families]
)
def test_a_task_that_a_bilstm_cannot_carry_is_refused_by_its_key(type_: str) -> None:
    with pytest.raises(InputError) as error:
        settings(type_, "bilstm", **{TASK_TYPES[type_].losses[0]: 1.0})
    families = " or ".join(TASK_TYPES[type_].families)
    assert str(error.value).endswith(f".student.architecture.family: must be {families} for {type_}, got bilstm")


@pytest.mark.parametrize(("type_", "loss"), REFUSED)
def test_a_loss_that_a_type_of_task_does_not_have_is_refused_by_its_key(type_: str, loss: str) -> None:
    with pytest.raises(InputError) as error:
        settings(type_, **(dict.fromkeys(TASK_TYPES[type_].losses, 1.0) | {loss: 0.5}))
    assert str(error.value).endswith(f": distill.losses.{loss}: must be 0 for {type_}, got 0.5")
    assert str(error.value).startswith("params.yaml: tasks.")


def test_every_loss_applies_to_some_type_of_task() -> None:
    assert {loss for _, loss in SINGLE} == {*LossWeights.model_fields}
