"""The student before its first step: its shape against the teacher's, its embeddings from the teacher's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from transformers import BertConfig, BertForSequenceClassification, GPT2Config

from pipeline.distillation.student import (
    build_student,
    check_shapes,
    reduced_embeddings,
    start_embeddings,
    teacher_word_embeddings,
)
from pipeline.files import InputError
from pipeline.params import TaskParams

ROOT = Path(__file__).parents[2]
TEACHER = BertConfig(
    vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=64,
)  # fmt: skip


def task(distill: dict | None = None, **architecture: object) -> TaskParams:
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["tasks"]["sentiment"]
    shape = {"layers": 2, "hidden_size": 8, "attention_heads": 2, "intermediate_size": 16}
    values["student"]["architecture"] |= shape | architecture
    values["student"]["vocabulary_size"] = None
    values["distill"] |= distill or {}
    return TaskParams.model_validate(values)


def losses(**weights: float) -> dict[str, float]:
    return {"soft_labels": 0.0, "logits": 1.0, "hard_labels": 0.0, "hidden_states": 0.0, "attentions": 0.0} | weights


def test_a_student_wider_than_its_teacher_is_refused() -> None:
    message = r"tasks\.sentiment\.student\.architecture\.hidden_size: must be <= 16, the teacher's, got 32"
    with pytest.raises(InputError, match=message):
        check_shapes("sentiment", task(hidden_size=32), TEACHER)


@pytest.mark.parametrize("pair", [[3, 1], [1, 3], [-1, 1]])
def test_a_layer_that_is_not_there_is_refused(pair: list[int]) -> None:
    with pytest.raises(InputError, match=r"tasks\.sentiment\.distill\.layer_map: got \[-?\d, \d\], expected"):
        check_shapes("sentiment", task({"losses": losses(hidden_states=1.0), "layer_map": [pair]}), TEACHER)


def test_attention_needs_as_many_heads() -> None:
    distill = {"losses": losses(attentions=1.0), "layer_map": [[1, 1]]}
    check_shapes("sentiment", task(distill), TEACHER)
    with pytest.raises(InputError, match=r"attention_heads: must be 2, the teacher's"):
        check_shapes("sentiment", task(distill, attention_heads=4), TEACHER)


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


def test_attention_of_a_decoder_is_not_compared() -> None:
    teacher = GPT2Config(n_embd=16, n_layer=2, n_head=2)
    check_shapes("sentiment", task(), teacher)
    with pytest.raises(
        InputError, match=r"distill\.losses\.attentions: must be 0 where the teacher, a gpt2, is none of"
    ):
        check_shapes("sentiment", task({"losses": losses(attentions=1.0), "layer_map": [[1, 1]]}), teacher)


def test_start_embeddings_follows_the_teacher_ids(tmp_path: Path) -> None:
    teacher = BertForSequenceClassification(TEACHER)
    teacher.save_pretrained(tmp_path)
    words = teacher_word_embeddings(tmp_path)
    assert torch.equal(words, teacher.bert.embeddings.word_embeddings.weight)
    teacher_ids = np.array([0, 9, 4, 22, 13, 17, 28, 3, 11, 5])
    student, twin = (
        build_student(task().student, head="text_classification", vocabulary_size=10, pad_token_id=0, seed=3)
        for _ in range(2)
    )
    start_embeddings(student, words, teacher_ids)
    expected = reduced_embeddings(words[torch.from_numpy(teacher_ids)], 8)
    assert torch.equal(student.bert.embeddings.word_embeddings.weight[1:], expected[1:])
    assert not student.bert.embeddings.word_embeddings.weight[0].any()
    for name, weight in twin.state_dict().items():  # all else is as the seed gave it
        assert torch.equal(weight, student.state_dict()[name]) != ("word_embeddings" in name), name
