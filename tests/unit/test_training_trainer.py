"""The training loop: what a step does, which weights a run ends with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from pipeline.params import RuntimeParams, TrainingParams
from pipeline.training.trainer import parameter_groups, train

RUNTIME = RuntimeParams(seed=3, threads=1, precision="float32")
ROWS = [(np.random.default_rng(i).normal(size=4).astype(np.float32), i % 3) for i in range(24)]


class Classifier(nn.Module):
    """Counts only rows of classes 0 and 1, so that micro-batches hold unequal counts."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.norm = nn.Linear(4, 3), nn.LayerNorm(4)

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        labels = labels.masked_fill(labels == 2, -100)
        loss = nn.functional.cross_entropy(self.linear(self.norm(inputs)), labels, reduction="sum")
        return {"loss": loss, "count": (labels >= 0).sum()}


def _collate(rows: list[Any], generator: np.random.Generator) -> dict[str, torch.Tensor]:
    return {
        "inputs": torch.from_numpy(np.stack([inputs for inputs, _ in rows])),
        "labels": torch.tensor([label for _, label in rows]),
    }


def _training(**changes: Any) -> TrainingParams:
    values: dict[str, Any] = {
        "batch_size": 8, "learning_rate": 0.1, "embeddings_rate": 1.0, "schedule": "constant", "warmup_share": 0.0,
        "weight_decay": 0.0, "max_gradient_norm": 1e9, "evaluations": 1, "checkpoint_minutes": 60.0,
        "epochs": 1, "patience": None,
    }  # fmt: skip
    return TrainingParams(**values | changes)


def _trained(folder: Path, *, training: TrainingParams | None = None, **options: Any) -> Classifier:
    module = Classifier()
    train(module, ROWS, _collate, training=training or _training(), runtime=RUNTIME, checkpoints=folder, **options)
    return module


def test_a_batch_equals_its_micro_batches(tmp_path: Path) -> None:
    whole = _trained(tmp_path / "1", steps=2)
    parts = _trained(tmp_path / "2", steps=2, micro_batches=4)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_one_step_is_the_mean_over_the_counted_rows(tmp_path: Path) -> None:
    gradients: dict[str, torch.Tensor] = {}
    module = Classifier()
    for name, parameter in module.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda p, name=name: gradients.update({name: p.grad}))  # type: ignore[misc]
    training = _training(batch_size=24, learning_rate=1e-30)
    train(module, ROWS, _collate, training=training, runtime=RUNTIME, checkpoints=tmp_path, micro_batches=3)
    expected = Classifier()
    output = expected(**_collate(ROWS, np.random.default_rng()))
    (output["loss"] / output["count"]).backward()
    assert output["count"] == 16
    for name, parameter in expected.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-5, atol=1e-7)


def test_gradients_are_clipped_to_the_norm(tmp_path: Path) -> None:
    clipped: list[torch.Tensor] = []
    module = Classifier()
    module.linear.bias.register_post_accumulate_grad_hook(lambda p: clipped.append(p.grad))
    training = _training(batch_size=24, learning_rate=1e-30, max_gradient_norm=0.01)
    module.norm.requires_grad_(False)
    module.linear.weight.requires_grad_(False)
    train(module, ROWS, _collate, training=training, runtime=RUNTIME, checkpoints=tmp_path)
    assert clipped[0].norm().item() == pytest.approx(0.01, rel=1e-3)


def test_history_holds_steps_losses_and_rows_and_no_times(tmp_path: Path) -> None:
    module, seen = Classifier(), []
    history = train(
        module, ROWS, _collate, training=_training(epochs=2, evaluations=2), runtime=RUNTIME, checkpoints=tmp_path,
        evaluate=lambda module: {"accuracy": 0.5}, log=seen.append,
    )  # fmt: skip
    assert history == seen
    assert [record["step"] for record in history if record["split"] == "train"] == [1, 2, 3, 4, 5, 6]
    assert [record["step"] for record in history if record["split"] == "dev"] == [3, 6]
    assert set(history[0]) == {"step", "split", "loss", "learning_rate", "rows"}
    assert history[-2]["rows"] == 48


def test_the_best_dev_weights_are_restored_and_patience_ends_the_run(tmp_path: Path) -> None:
    scores, states = iter([0.1, 0.9, 0.9, 0.5, 1.0]), []

    def evaluate(module: nn.Module) -> dict[str, float]:
        assert not module.training
        states.append(module.linear.weight.clone())  # type: ignore[operator,union-attr]
        return {"accuracy": next(scores)}

    training = _training(epochs=5, evaluations=5, patience=2)
    module = _trained(tmp_path, training=training, evaluate=evaluate, select=("accuracy", "max"))
    assert len(states) == 4
    assert torch.equal(module.linear.weight, states[1])
    assert not torch.equal(states[1], states[3])


def test_a_finished_run_is_loaded_not_repeated(tmp_path: Path) -> None:
    first = _trained(tmp_path, steps=3)

    def refuse(module: nn.Module) -> dict[str, float]:
        raise AssertionError("trained again")

    again = _trained(tmp_path, steps=3, evaluate=refuse)
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), again.parameters(), strict=True))


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    class Diverging(Classifier):
        def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            output = super().forward(inputs, labels)
            return {"loss": output["loss"] * float("nan"), "count": output["count"]}

    with pytest.raises(FloatingPointError, match="the loss is nan"):
        train(Diverging(), ROWS, _collate, training=_training(), runtime=RUNTIME, checkpoints=tmp_path)


def test_biases_and_layer_norm_do_not_decay() -> None:
    module = Classifier()
    matrices, vectors = parameter_groups(module, _training(weight_decay=0.01))
    assert matrices["weight_decay"] == 0.01
    assert vectors["weight_decay"] == 0.0
    assert matrices["params"][0] is module.linear.weight
    assert len(vectors["params"]) == 3


@pytest.mark.parametrize("rate", [0.0, 0.25])
def test_word_embeddings_learn_at_a_rate_of_their_own(rate: float) -> None:
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertForMaskedLM(BertConfig(vocab_size=10, **shape))
    words, training = model.get_input_embeddings().weight, _training(learning_rate=0.1, embeddings_rate=rate)
    groups = parameter_groups(nn.ModuleList([model]), training)
    rates = {id(parameter): group.get("lr", 0.1) for group in groups for parameter in group["params"]}
    assert rates.get(id(words)) == (0.025 if rate else None)  # the decoder is tied to them, and counts once
    assert words.requires_grad == (rate > 0)
    assert set(rates) | {id(words)} == {id(parameter) for parameter in model.parameters()}
    assert all(value == 0.1 for parameter, value in rates.items() if parameter != id(words))
