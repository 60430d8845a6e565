"""The export stage: 8 bits where they cost nothing, float32 where they do, a record alone where no graph is wanted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from pipeline.architectures.exported import GRAPH, ExportedModel
from pipeline.exporting.confidence import accuracy_at_scores, fit_temperature
from pipeline.files import content_hash, read_json
from pipeline.params import Params, load_params
from pipeline.stages import export
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.prediction import predict_logits
from tests.stages.tiny_project import VOCABULARY, save_model, save_tokenizer

ROOT = Path(__file__).parents[2]
ROWS = 400


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A student that is always right about dev, half of whose rows it is only just right about."""
    save_model(tmp_path / "student", BertForSequenceClassification, 16, seed=2)
    save_tokenizer(tmp_path / "student")
    chance = np.random.default_rng(0)
    rows = [[1, *chance.integers(5, len(VOCABULARY), 6).tolist(), 2] for _ in range(ROWS)]
    tokens = TokenRows.from_rows(rows, np.zeros(ROWS, np.int64), np.dtype(np.uint16))
    model = BertForSequenceClassification.from_pretrained(tmp_path / "student")
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(20 if weights.ndim == 2 else 1)  # else no word moves an answer
        margin = np.diff(logits(model, tokens), axis=1)
        model.classifier.bias[1] -= float(np.median(margin))
    model.save_pretrained(tmp_path / "student")
    TokenRows.from_rows(rows, logits(model, tokens).argmax(axis=1), np.dtype(np.uint16)).save(tmp_path / "dev")
    return tmp_path


def logits(model: Any, rows: TokenRows) -> np.ndarray:
    return predict_logits(model, rows, batch_size=32, pad_token_id=0, dtype=torch.float32)


def run_stage(root: Path, name: str, calibration: str = "temperature", **changes: Any) -> dict[str, Any]:
    values = load_params(ROOT / "params.yaml").model_dump()
    task = values["tasks"]["sentiment"]
    task |= {"calibration": calibration, "thresholds": {"positive": 0.8}}
    task["export"] = (task["export"] | changes) if changes else None
    out, given = root / name, Params.model_validate(values)
    export.run(given, task="sentiment", student=root / "student", dev=root / "dev", out=out)
    return dict(read_json(out / "export.json"))


def test_8_bits_are_kept_where_they_cost_little_enough_else_it_is_float32(project: Path) -> None:
    kept = run_stage(project, "kept", max_loss=0.2)
    assert kept["format"] == "int8" and kept["dev"]["student"]["accuracy"] == 1.0
    cost = 1 - kept["dev"]["int8"]["accuracy"]
    assert 0 < cost <= 0.2 and kept["dev"]["int8"]["agreement"] == kept["dev"]["int8"]["accuracy"]
    fallen_back = run_stage(project, "fallen_back", max_loss=0.0)
    assert fallen_back["format"] == "float32" and fallen_back["dev"]["float32"]["accuracy"] == 1.0
    assert fallen_back["reason"].startswith(f"int8 has accuracy {1 - cost:.4f} on dev, more than 0.0 below 1.0000")

    dev, plain = TokenRows.load(project / "dev"), BertForSequenceClassification.from_pretrained(project / "student")
    expected = logits(plain, dev)
    assert np.abs(logits(ExportedModel(project / "fallen_back"), dev) - expected).max() < 1e-5
    off = np.abs(logits(ExportedModel(project / "kept"), dev) - expected).max()
    assert 1e-5 < off < 0.1 * np.ptp(expected)


def test_of_several_labels_each_is_a_choice_that_can_come_out_the_same(project: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(project / "student")
    dev, values = TokenRows.load(project / "dev"), load_params(ROOT / "params.yaml").model_dump()
    with torch.no_grad():
        model.classifier.bias -= torch.from_numpy(np.median(logits(model, dev), axis=0))
    model.save_pretrained(project / "student")
    plain = logits(model, dev)
    TokenRows.one_label_each(dev.ids, dev.offsets, (plain > 0).astype(np.int8)).save(project / "labels")
    task, columns = values["tasks"]["sentiment"], values["datasets"]["rotten_tomatoes"]["columns"]
    task["type"], columns["labels"], columns["label"] = "multi_label_classification", "labels", None
    task["gate"] |= {"metric": "micro_f1", "max_flip_rate": None}
    task["evaluate"] |= {"identity_groups": [], "slices": []}
    task["export"] |= {"max_loss": 1.0}
    out = project / "several"
    export.run(
        Params.model_validate(values), task="sentiment", student=project / "student", dev=project / "labels", out=out
    )
    exported, said = logits(ExportedModel(out), dev), read_json(out / "export.json")["dev"]["int8"]["agreement"]
    assert said == pytest.approx(np.mean((exported > 0) == (plain > 0)), abs=1e-6) and said < 1
    assert said != pytest.approx(np.mean(exported.argmax(axis=1) == plain.argmax(axis=1)), abs=1e-6)


def test_the_same_student_gives_the_same_bytes(project: Path) -> None:
    for name in ("first", "second"):
        run_stage(project, name, max_loss=1.0)
    assert content_hash(project / "first") == content_hash(project / "second")
    assert {path.name for path in (project / "first").iterdir()} == {
        GRAPH, "config.json", "export.json", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip


def test_null_leaves_a_record_alone(project: Path) -> None:
    record = run_stage(project, "none")
    assert (record["format"], record["reason"]) == (None, "params.yaml asks for none")
    assert [path.name for path in (project / "none").iterdir()] == ["export.json"]


def test_the_temperature_is_that_of_the_form_that_is_served(project: Path) -> None:
    """Dev is mislabelled in every fifth row, so a student that is as sure as this one is right in four of five."""
    dev = TokenRows.load(project / "dev")
    labels = np.where(np.arange(ROWS) % 5 == 0, 1 - dev.labels, dev.labels)
    rows = [dev[row].tolist() for row in range(ROWS)]
    TokenRows.from_rows(rows, labels, np.dtype(np.uint16)).save(project / "dev")
    record = run_stage(project, "graph", max_loss=1.0)
    assert record["thresholds"] == {"positive": 0.8}
    assert record["loss"]["after"] < record["loss"]["before"]
    said = logits(ExportedModel(project / "graph"), dev)
    assert record["temperature"] == fit_temperature(said, labels) != 1.0
    assert record["accuracy_at_scores"] == accuracy_at_scores(said / record["temperature"], labels)
    as_it_is = run_stage(project, "as_it_is", calibration="none", max_loss=1.0)
    assert as_it_is["temperature"] == 1.0
    assert as_it_is["loss"] == dict.fromkeys(("before", "after"), record["loss"]["before"])
