"""The teacher's cache: right numbers, loaded once, refused when stale or damaged; lessons made from it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from pipeline.distillation.intermediate import Layers, layer_outputs
from pipeline.distillation.lessons import DistillationLoss, Lessons, with_teacher
from pipeline.distillation.teacher_cache import Likeliest, TeacherOutputs, cached_outputs
from pipeline.params import DistillParams, LossWeights, TrainingParams
from pipeline.tasks.text_classification import TextClassification
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.prediction import predict_logits

LAYERS = Layers(hidden_states=(0, 2), attentions=(2,))
HEAD = TextClassification(["negative", "positive"])


def bert(width: int = 16, seed: int = 0) -> BertForSequenceClassification:
    torch.manual_seed(seed)
    shape = BertConfig(
        vocab_size=30, hidden_size=width, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.5,
    )  # fmt: skip
    return BertForSequenceClassification(shape).eval()


def token_rows(count: int, seed: int) -> TokenRows:
    chance = np.random.default_rng(seed)
    rows = [chance.integers(1, 30, size=chance.integers(2, 9)).tolist() for _ in range(count)]
    return TokenRows.from_rows(rows, [i % 3 - 1 for i in range(count)], np.dtype(np.uint16))


SPLITS = {"train": token_rows(7, 1), "transfer": token_rows(0, 2), "dev": token_rows(3, 3)}


def whole(input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return rows without padding as a model's inputs."""
    return {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}


class Teacher:
    """Counts how often it is loaded."""

    def __init__(self) -> None:
        self.loaded = 0

    def __call__(self) -> BertForSequenceClassification:
        self.loaded += 1
        return bert()


def outputs(
    folder: Path, teacher: Teacher, *, inputs: str = "a", layers: Layers = LAYERS, dtype: torch.dtype = torch.float32
) -> dict[str, TeacherOutputs]:
    return cached_outputs(SPLITS, teacher, folder=folder, inputs={"teacher": inputs}, layers=layers, dtype=dtype)


def test_of_many_classes_the_likeliest_are_cached_at_their_temperature(tmp_path: Path) -> None:
    everything, teacher = outputs(tmp_path, Teacher())["train"].logits, Teacher()

    def likeliest(temperature: float) -> TeacherOutputs:
        inputs = {"teacher": "a"}
        return cached_outputs(
            SPLITS, teacher, folder=tmp_path, inputs=inputs, layers=Layers(), dtype=torch.float32,
            likeliest=Likeliest(1, temperature),
        )["train"]  # fmt: skip

    found = likeliest(2.0)
    assert found.likeliest is not None and found.likeliest.dtype == np.uint16
    assert found.likeliest[:, 0].tolist() == everything.argmax(axis=1).tolist()
    expected = torch.from_numpy(np.array(everything)).div(2.0).softmax(dim=-1).sort(dim=-1, descending=True).values
    np.testing.assert_allclose(np.exp(found.logits), expected, rtol=1e-4)
    assert found[3].likeliest.tolist() == found.likeliest[3:4].tolist()  # type: ignore[union-attr]
    likeliest(2.0)
    assert teacher.loaded == 1
    likeliest(1.0)
    assert teacher.loaded == 2


def test_what_is_cached_is_what_the_teacher_says(tmp_path: Path) -> None:
    found, teacher = outputs(tmp_path, Teacher()), bert()
    assert {name: len(split) for name, split in found.items()} == {"train": 7, "transfer": 0, "dev": 3}
    expected = predict_logits(teacher, SPLITS["train"], batch_size=64, pad_token_id=0, dtype=torch.float32)
    np.testing.assert_array_equal(found["train"].logits, expected)
    for index, ids in enumerate(SPLITS["train"]):
        alone = torch.from_numpy(ids.astype(np.int64))[None]
        with torch.no_grad():
            direct = layer_outputs(teacher, whole(alone), torch.tensor([0]), LAYERS)
        row = found["train"][index]
        np.testing.assert_allclose(row.logits, direct.logits, rtol=1e-4, atol=1e-5)
        for layer in (0, 2):
            np.testing.assert_allclose(row.hidden_states[layer], direct.hidden_states[layer][0], rtol=2e-3, atol=2e-3)
        scores = direct.attentions[2][0].permute(1, 2, 0)
        np.testing.assert_allclose(row.attentions[2], scores, rtol=2e-3, atol=5e-3)


def test_attention_scores_are_what_the_softmax_sees() -> None:
    model = bert()
    model.set_attn_implementation("eager")
    ids = torch.tensor([[2, 5, 7, 9]])
    with torch.no_grad():
        maps = model(input_ids=ids, output_attentions=True).attentions
        scores = layer_outputs(model, whole(ids), torch.tensor([0]), Layers(attentions=(1, 2))).attentions
    for layer in (1, 2):
        torch.testing.assert_close(scores[layer].softmax(dim=-1), maps[layer - 1])


def test_a_second_student_loads_the_teacher_zero_times(tmp_path: Path) -> None:
    teacher = Teacher()
    first, second = outputs(tmp_path, teacher), outputs(tmp_path, teacher)
    assert teacher.loaded == 1
    np.testing.assert_array_equal(first["train"].logits, second["train"].logits)


@pytest.mark.parametrize(
    "other",
    [{"inputs": "b"}, {"dtype": torch.bfloat16}, {"layers": Layers()}],
    ids=["weights or rows", "precision", "layers"],
)
def test_another_key_runs_the_teacher_again(tmp_path: Path, other: dict) -> None:
    teacher = Teacher()
    outputs(tmp_path, teacher)
    outputs(tmp_path, teacher, **other)
    assert teacher.loaded == 2


@pytest.mark.parametrize("harm", ["flipped byte", "missing file", "missing marker", "marker of another key"])
def test_a_damaged_or_stale_entry_is_refused_and_made_anew(tmp_path: Path, harm: str) -> None:
    teacher = Teacher()
    good = np.array(outputs(tmp_path, teacher)["train"].logits)
    (entry,) = tmp_path.iterdir()
    logits, marker = entry / "train/logits.npy", entry / "complete.json"
    if harm == "flipped byte":
        data = bytearray(logits.read_bytes())
        data[-1] ^= 1
        logits.write_bytes(data)
    elif harm == "marker of another key":
        marker.write_text(marker.read_text().replace('"teacher": "a"', '"teacher": "b"'))
    else:
        (logits if harm == "missing file" else marker).unlink()
    np.testing.assert_array_equal(outputs(tmp_path, teacher)["train"].logits, good)
    assert teacher.loaded == 2


def test_a_teacher_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    def broken() -> BertForSequenceClassification:
        raise RuntimeError("no teacher today")

    with pytest.raises(RuntimeError, match="no teacher today"):
        cached_outputs(SPLITS, broken, folder=tmp_path, inputs={}, layers=LAYERS, dtype=torch.float32)
    assert not list(tmp_path.iterdir())


def distillation(**weights: float) -> DistillParams:
    none = {"soft_labels": 0.0, "logits": 0.0, "hard_labels": 0.0, "hidden_states": 0.0, "attentions": 0.0}
    training = TrainingParams(
        batch_size=4, learning_rate=1e-3, embeddings_rate=1.0, schedule="linear", warmup_share=0.0, weight_decay=0.0,
        max_gradient_norm=1.0, evaluations=1, checkpoint_minutes=1.0, epochs=1, patience=None,
    )  # fmt: skip
    return DistillParams(
        losses=LossWeights(**(none | weights)), temperature=2.0, layer_map=[[0, 0], [2, 2]], labelled_weight=3.0,
        training=training,
    )  # fmt: skip


def lessons(folder: Path, rows: list[int]) -> dict[str, torch.Tensor]:
    taught = Lessons(HEAD.rows(SPLITS["train"]), outputs(folder, Teacher())["train"])
    batch, said = zip(*[taught[row] for row in rows], strict=True)
    return with_teacher(HEAD.collate(batch, 0), said)


def test_labelled_rows_weigh_more_and_only_they_have_hard_labels(tmp_path: Path) -> None:
    batch, student = lessons(tmp_path, [0, 1]), bert(8, seed=5)  # row 0 has no label, row 1 has label 0
    logits = student(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    mse = (logits - batch["teacher_logits"]).square().mean(dim=1)
    found = DistillationLoss(HEAD, student, distillation(logits=1.0), 16)(**batch)
    assert found["count"].item() == 4.0
    assert found["loss"].item() == pytest.approx((mse[0] + 3 * mse[1]).item(), rel=1e-5)
    found = DistillationLoss(HEAD, student, distillation(hard_labels=1.0), 16)(**batch)
    assert found["loss"].item() == pytest.approx(-3 * logits.log_softmax(dim=1)[1, 0].item(), rel=1e-5)


def test_the_teacher_has_nothing_to_learn_from_itself(tmp_path: Path) -> None:
    loss = DistillationLoss(
        HEAD, bert(), distillation(soft_labels=1.0, logits=1.0, hidden_states=1.0, attentions=1.0), 16
    )
    for projection in loss.projections:
        torch.nn.init.eye_(projection)
    assert loss(**lessons(tmp_path, [0, 3, 6]))["loss"].item() == pytest.approx(0.0, abs=1e-4)  # float16 on disk


def test_one_batch_equals_micro_batches_in_gradient(tmp_path: Path) -> None:
    every = dict.fromkeys(("soft_labels", "logits", "hard_labels", "hidden_states", "attentions"), 0.5)
    torch.manual_seed(1)
    loss = DistillationLoss(HEAD, bert(8, seed=5), distillation(**every), 16)
    weights = [weight for weight in loss.parameters() if weight.requires_grad]

    def gradients(rows: list[int]) -> tuple[torch.Tensor | None, ...]:
        return torch.autograd.grad(loss(**lessons(tmp_path, rows))["loss"], weights, materialize_grads=True)

    parts = [gradients(rows) for rows in ([0], [1, 2], [3, 4, 5])]
    for whole, *pieces in zip(gradients([0, 1, 2, 3, 4, 5]), *parts, strict=True):
        torch.testing.assert_close(torch.stack(pieces).sum(dim=0), whole, rtol=1e-4, atol=1e-5)
