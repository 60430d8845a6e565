"""The teacher's cache: right numbers, loaded once, refused when stale or damaged."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from pipeline.architectures import ARCHITECTURES
from pipeline.distillation.intermediate import State, layer_outputs
from pipeline.distillation.layer_losses import scaled_products
from pipeline.distillation.teacher_cache import Likeliest, cached_outputs
from pipeline.distillation.teacher_outputs import TeacherOutputs
from pipeline.params import ArchitectureParams
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.prediction import predict_logits

STATES = (State("hidden_states", 0), State("hidden_states", 2), State("queries", 2), State("values", 1))


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
    folder: Path,
    teacher: Teacher,
    *,
    inputs: str = "a",
    states: tuple[State, ...] = STATES,
    dtype: torch.dtype = torch.float32,
) -> dict[str, TeacherOutputs]:
    return cached_outputs(SPLITS, teacher, folder=folder, inputs={"teacher": inputs}, states=states, dtype=dtype)


def test_of_many_classes_the_likeliest_are_cached_at_their_temperature(tmp_path: Path) -> None:
    everything, teacher = outputs(tmp_path, Teacher())["train"].logits, Teacher()

    def likeliest(temperature: float) -> TeacherOutputs:
        inputs = {"teacher": "a"}
        return cached_outputs(
            SPLITS, teacher, folder=tmp_path, inputs=inputs, states=(), dtype=torch.float32,
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
            direct = layer_outputs(teacher, whole(alone), torch.tensor([0]), STATES)
        row = found["train"][index]
        np.testing.assert_allclose(row.logits, direct.logits, rtol=1e-4, atol=1e-5)
        assert set(row.states) == set(STATES)
        for state, array in row.states.items():
            assert array.dtype == np.float16
            np.testing.assert_allclose(array, direct.states[state][0], rtol=2e-3, atol=5e-3)


def test_products_of_queries_and_keys_are_what_the_softmax_sees() -> None:
    model = bert()
    model.set_attn_implementation("eager")
    ids = torch.tensor([[2, 5, 7, 9]])
    layers = {layer: [State("queries", layer), State("keys", layer)] for layer in (1, 2)}
    with torch.no_grad():
        maps = model(input_ids=ids, output_attentions=True).attentions
        found = layer_outputs(model, whole(ids), torch.tensor([0]), layers[1] + layers[2]).states
    for layer, states in layers.items():
        scores = scaled_products(*(found[state] for state in states), heads=2)
        torch.testing.assert_close(scores.softmax(dim=-1), maps[layer - 1])


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_values_are_what_the_attention_sums_up(family: str) -> None:
    torch.manual_seed(0)
    settings = ArchitectureParams(
        family=family, layers=1, hidden_size=16, attention_heads=2, intermediate_size=16, max_length=16, dropout=0.0
    )  # type: ignore[arg-type]
    build = ARCHITECTURES[family]().build
    model = build(settings, head="token_classification", vocabulary_size=30, pad_token_id=0).eval()
    model.set_attn_implementation("eager")
    summed = {}
    attention = model.base_model.encoder.layer[0].attention
    attention.self.register_forward_hook(lambda module, given, out: summed.update(context=out[0]))
    ids = torch.tensor([[2, 5, 7, 9]])
    wanted = [State(kind, 1) for kind in ("queries", "keys", "values")]
    with torch.no_grad():
        queries, keys, values = layer_outputs(model, whole(ids), torch.arange(4), wanted).states.values()
    weights = scaled_products(queries, keys, 2).softmax(dim=-1)
    context = (weights @ values.unflatten(-1, (2, -1)).transpose(1, 2)).transpose(1, 2).flatten(2)
    torch.testing.assert_close(context, summed["context"])


def test_a_second_student_loads_the_teacher_zero_times(tmp_path: Path) -> None:
    teacher = Teacher()
    first, second = outputs(tmp_path, teacher), outputs(tmp_path, teacher)
    assert teacher.loaded == 1
    np.testing.assert_array_equal(first["train"].logits, second["train"].logits)


@pytest.mark.parametrize("likeliest", [None, Likeliest(1, 1.0)], ids=["all classes", "likeliest"])
def test_outputs_stay_on_disk_and_so_does_what_a_row_reads(tmp_path: Path, likeliest: Likeliest | None) -> None:
    for _ in ("made", "found again"):
        found = cached_outputs(
            SPLITS, Teacher(), folder=tmp_path, inputs={}, states=STATES, dtype=torch.float32, likeliest=likeliest
        )["train"]
        (entry,) = tmp_path.iterdir()
        arrays = {"logits": (found.logits, found[1].logits)}
        arrays |= {str(state): (found.states[state], found[1].states[state]) for state in STATES}
        if likeliest is not None:
            assert found.likeliest is not None and found[1].likeliest is not None
            arrays["likeliest"] = (found.likeliest, found[1].likeliest)
        for name, (whole, of_row) in arrays.items():
            assert isinstance(whole.base, np.memmap) and not whole.flags.writeable
            assert whole.base.filename == entry / f"train/{name}.npy"
            assert of_row.size and np.shares_memory(of_row, whole)


@pytest.mark.parametrize(
    "other",
    [{"inputs": "b"}, {"dtype": torch.bfloat16}, {"states": STATES[:1]}],
    ids=["weights or rows", "precision", "states"],
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
        cached_outputs(SPLITS, broken, folder=tmp_path, inputs={}, states=STATES, dtype=torch.float32)
    assert not list(tmp_path.iterdir())
