"""The student before its first step: its shape against the teacher's, its embeddings from the teacher's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from pipeline.architectures.classifier import logits_of
from pipeline.architectures.shape import shape_of
from pipeline.distillation.student import (
    build_student,
    check_shapes,
    reduced_embeddings,
    start_from_teacher,
    teacher_word_embeddings,
)
from pipeline.files import InputError
from pipeline.params import TaskParams
from pipeline.params.fit import TeacherShape
from pipeline.params.task_types import OF_ATTENTION, OF_LABELS
from tests.shipped_params import shipped_values

TEACHER = TeacherShape("bert", 2, 16, 2, 32, 64, 30)
BERT = BertConfig(
    vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=64,
)  # fmt: skip


def task(distill: dict | None = None, student: dict | None = None, **architecture: object) -> TaskParams:
    values = shipped_values()["tasks"]["sentiment"]
    shape = {"layers": 2, "hidden_size": 8, "attention_heads": 2, "intermediate_size": 16}
    values["student"]["architecture"] |= shape | architecture
    values["student"]["vocabulary_size"] = None
    values["student"] |= student or {}
    values["distill"] |= distill or {}
    return TaskParams.model_validate(values)


def losses(**weights: float) -> dict[str, float]:
    return dict.fromkeys(OF_LABELS, 0.0) | {"logits": 1.0} | weights


def problem(given: TaskParams, teacher: TeacherShape = TEACHER) -> str:
    with pytest.raises(InputError) as error:
        check_shapes("sentiment", given, teacher)
    return str(error.value)


def test_a_student_wider_than_its_teacher_is_refused() -> None:
    key = "tasks.sentiment.student.architecture.hidden_size"
    assert problem(task(hidden_size=32)) == f"{key}: must be <= 16, the teacher's, got 32"


@pytest.mark.parametrize("pair", [[3, 1], [1, 3], [-1, 1]])
def test_a_layer_that_is_not_there_is_refused(pair: list[int]) -> None:
    hidden = task({"losses": losses(hidden_states=1.0), "layer_map": [pair]})
    expected = "expected student layers from 0 to 2 and teacher layers from 0 to 2"
    assert problem(hidden) == f"tasks.sentiment.distill.layer_map: got {pair}, {expected}"


def test_layers_that_no_loss_reads_need_not_be_there() -> None:
    maps = {"layer_map": [[1, 3]], "relation_map": [[3, 1]]}
    check_shapes("sentiment", task({"losses": losses()} | maps), TEACHER)
    assert "distill.layer_map" in problem(task({"losses": losses(hidden_cosines=1.0)} | maps))


def test_embeddings_have_no_relations() -> None:
    values = task({"losses": losses(value_relations=1.0), "relation_map": [[0, 2]], "relation_heads": 2})
    assert problem(values).startswith(
        "tasks.sentiment.distill.relation_map: got [0, 2], expected student layers from 1"
    )


@pytest.mark.parametrize("loss", ["attentions", "attention_distributions"])
def test_attention_needs_as_many_heads(loss: str) -> None:
    distill = {"losses": losses(**{loss: 1.0}), "layer_map": [[1, 1]], "relation_map": [[1, 1]]}
    check_shapes("sentiment", task(distill), TEACHER)
    assert f"attention_heads: must be 2, the teacher's, when {loss} has" in problem(task(distill, attention_heads=4))


def test_relation_heads_divide_the_teachers_width_and_need_no_heads_of_its_number() -> None:
    distill = {"losses": losses(query_relations=1.0), "relation_map": [[1, 1]], "relation_heads": 4}
    check_shapes("sentiment", task(distill, attention_heads=4), TEACHER)
    expected = "tasks.sentiment.distill.relation_heads: must divide 16, the teacher's width, got 3"
    assert problem(task(distill | {"relation_heads": 3})) == expected


@pytest.mark.parametrize("loss", OF_ATTENTION)
def test_attention_of_a_decoder_is_not_compared(loss: str) -> None:
    teacher = TEACHER._replace(family="gpt")
    check_shapes("sentiment", task(), teacher)
    distill = {"losses": losses(**{loss: 1.0}), "layer_map": [[1, 1]], "relation_map": [[1, 1]], "relation_heads": 2}
    expected = "must be 0 where the teacher, a gpt, is none of bert, roberta, got 1.0"
    assert problem(task(distill), teacher) == f"tasks.sentiment.distill.losses.{loss}: {expected}"


@pytest.mark.parametrize(
    ("architecture", "teacher", "expected"),
    [
        ({"hidden_size": 8}, {}, "student.architecture.hidden_size: must be 16, the teacher's, when student.emb"),
        ({"attention_heads": 4}, {}, "student.architecture.attention_heads: must be 2, the teacher's"),
        ({"intermediate_size": 16}, {}, "student.architecture.intermediate_size: must be 32, the teacher's"),
        ({"max_length": 128}, {}, "student.architecture.max_length: must be <= 64, the teacher's, when student.layers"),
        ({}, {"layers": 5}, "student.architecture.layers: must divide 5, the teacher's, when student.layers is"),
        ({}, {"layers": 1}, "student.architecture.layers: must divide 1, the teacher's"),
        ({}, {"family": "roberta"}, "student.architecture.family: must be roberta, the teacher's"),
        ({"family": "modernbert"}, {"family": "modernbert"}, "student.layers: must be random where student."),
    ],
)  # fmt: skip
def test_layers_start_from_a_teacher_only_where_shapes_allow(
    architecture: dict[str, Any], teacher: dict[str, Any], expected: str
) -> None:
    alike = {"hidden_size": 16, "intermediate_size": 32, "max_length": 64}
    first = {"embeddings": "teacher", "layers": "teacher"}
    check_shapes("sentiment", task(student=first, **alike), TEACHER)
    found = problem(task(student=first, **(alike | architecture)), TEACHER._replace(**teacher))
    assert found.startswith(f"tasks.sentiment.{expected}")


def test_layers_of_a_teacher_need_its_embeddings() -> None:
    with pytest.raises(ValueError, match="embeddings must be teacher when layers is teacher, got teacher_svd"):
        task(student={"layers": "teacher"})


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert", "gpt", "llama", "encoder_decoder"])
def test_a_shape_is_read_from_every_family(kind: str, tmp_path: Path) -> None:
    more = {"decoder_layers": 1} if kind == "encoder_decoder" else {}
    head, ends = ("translation", {"eos_token_id": 3}) if more else ("text_classification", {})
    own = task(family=kind, layers=3, max_length=48, **more).student
    build_student(own, head=head, vocabulary_size=30, pad_token_id=0, seed=3, **ends).save_pretrained(tmp_path)
    assert shape_of(tmp_path) == TeacherShape.from_params(own.architecture)._replace(vocabulary_size=30)


def test_a_folder_that_does_not_say_its_shape_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 16}')
    with pytest.raises(InputError, match=r"config\.json: num_hidden_layers is None, expected a whole number from 1 on"):
        shape_of(tmp_path)


def test_reduced_embeddings_keep_the_geometry_that_fits() -> None:
    # rows of rank 3 fit into width 3 whole: distances stay the same but for one scale
    generator = torch.Generator().manual_seed(0)
    words = torch.randn(40, 3, generator=generator) @ torch.randn(3, 12, generator=generator) + 7.0
    reduced = reduced_embeddings(words, 3)
    distances = torch.cdist(words, words)[0, 1:] / torch.cdist(reduced, reduced)[0, 1:]
    torch.testing.assert_close(distances, distances[:1].expand(39), rtol=1e-3, atol=0.0)
    assert reduced.std().item() == pytest.approx(0.05, rel=1e-5)
    assert torch.allclose(reduced.mean(dim=0), torch.zeros(3), atol=1e-6)
    assert (reduced.std(dim=0).diff() < 0).all()  # strongest component first


def test_reduced_embeddings_are_the_truncated_svd() -> None:
    words = torch.randn(40, 12, generator=torch.Generator().manual_seed(1))
    centred = words - words.mean(dim=0)
    left, sizes, _ = torch.linalg.svd(centred, full_matrices=False)
    expected, found = (left * sizes)[:, :4], reduced_embeddings(words, 4)
    signs = (expected * found).sum(dim=0).sign()
    torch.testing.assert_close(found, expected * signs * (0.05 / expected.std()), rtol=1e-3, atol=1e-5)
    assert torch.equal(found, reduced_embeddings(words, 4))


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "gpt", "llama"])
def test_word_embeddings_are_found_in_every_family(family: str, tmp_path: Path) -> None:
    teacher = build_student(
        task(family=family).student, head="text_classification", vocabulary_size=30, pad_token_id=0, seed=3
    )
    teacher.save_pretrained(tmp_path)
    words = teacher_word_embeddings(tmp_path)
    assert torch.equal(words, teacher.get_input_embeddings().weight)
    assert words.shape == (30, 8)


@pytest.mark.parametrize(
    ("family", "head"),
    [
        ("bert", "text_classification"),
        ("bert", "token_classification"),
        ("bert", "sentence_similarity"),
        ("roberta", "question_answering"),
        ("gpt", "text_classification"),
        ("gpt", "text_generation"),
        ("llama", "text_generation"),
    ],
)
def test_a_student_starts_from_every_second_layer_of_its_teacher(family: str, head: str, tmp_path: Path) -> None:
    def built(layers: int, max_length: int, seed: int) -> Any:
        shape = {"family": family, "layers": layers, "max_length": max_length}
        own = task(student={"embeddings": "teacher", "layers": "teacher"}, **shape).student
        settings = {"head": head, "vocabulary_size": 30, "pad_token_id": 0, "seed": seed}
        return own, build_student(own, **settings).eval()

    (_, teacher), (own, student) = built(4, 96, seed=1), built(2, 64, seed=2)
    teacher.save_pretrained(tmp_path)
    start_from_teacher(student, own, tmp_path, np.arange(30))
    (layers,) = (part for part in teacher.modules() if isinstance(part, torch.nn.ModuleList) and len(part) == 4)
    kept = [layers[1], layers[3]]
    del layers[:]
    layers.extend(kept)  # what is left of the teacher is the student
    teacher.config.num_hidden_layers, teacher.config.use_cache, student.config.use_cache = 2, False, False
    batch = {"input_ids": torch.tensor([[2, 9, 4, 7, 3, 5], [2, 8, 3, 2, 6, 3]])}
    batch |= {"attention_mask": torch.ones_like(batch["input_ids"])}
    if head == "sentence_similarity":
        batch |= {"token_type_ids": torch.tensor([[0, 0, 0, 1, 1, 1]] * 2)}
    with torch.no_grad():
        expected, found = teacher(**batch), student(**batch)
    torch.testing.assert_close(logits_of(found), logits_of(expected))


def test_layers_of_another_head_are_refused(tmp_path: Path) -> None:
    own = task(student={"embeddings": "teacher", "layers": "teacher"}).student
    settings = {"vocabulary_size": 30, "pad_token_id": 0, "seed": 1}
    build_student(own, head="token_classification", **settings).save_pretrained(tmp_path)
    student = build_student(own, head="text_classification", **settings)
    with pytest.raises(InputError, match=r"bert\.pooler\.dense\.weight is \[0\], expected \[8, 8\] for the student"):
        start_from_teacher(student, own, tmp_path, np.arange(30))


def test_embeddings_of_a_teacher_of_the_same_width_are_its_own(tmp_path: Path) -> None:
    BertForSequenceClassification(BERT).save_pretrained(tmp_path)
    own, words = task(student={"embeddings": "teacher"}, hidden_size=16).student, teacher_word_embeddings(tmp_path)
    student = build_student(own, head="text_classification", vocabulary_size=3, pad_token_id=0, seed=3)
    start_from_teacher(student, own, tmp_path, np.array([0, 9, 4]))
    assert torch.equal(student.bert.embeddings.word_embeddings.weight, words[[0, 9, 4]])


def test_start_embeddings_follows_the_teacher_ids(tmp_path: Path) -> None:
    teacher = BertForSequenceClassification(BERT)
    teacher.save_pretrained(tmp_path)
    words = teacher_word_embeddings(tmp_path)
    assert torch.equal(words, teacher.bert.embeddings.word_embeddings.weight)
    teacher_ids = np.array([0, 9, 4, 22, 13, 17, 28, 3, 11, 5])
    student, twin = (
        build_student(task().student, head="text_classification", vocabulary_size=10, pad_token_id=0, seed=3)
        for _ in range(2)
    )
    start_from_teacher(student, task().student, tmp_path, teacher_ids)
    expected = reduced_embeddings(words[torch.from_numpy(teacher_ids)], 8)
    assert torch.equal(student.bert.embeddings.word_embeddings.weight[1:], expected[1:])
    assert not student.bert.embeddings.word_embeddings.weight[0].any()
    for name, weight in twin.state_dict().items():  # all else is as the seed gave it
        assert torch.equal(weight, student.state_dict()[name]) != ("word_embeddings" in name), name
