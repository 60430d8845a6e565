"""A history is what `dvc plots` draws: records of different figures become records of the same keys."""

from pathlib import Path

import pytest
from dvc.render.converter.vega import get_datapoints

from pipeline.files import read_json
from pipeline.stage_run import figures
from pipeline.training.history import write_history

RECORDS = [
    {"step": 1, "split": "train", "loss": 0.7, "tokens": 90},
    {"step": 1, "split": "dev", "loss": 0.6, "accuracy": 0.5},
]


def test_every_record_has_all_keys_and_dvc_draws_them(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    write_history(path, RECORDS)
    written = read_json(path)
    assert written == [
        {"accuracy": None, "loss": 0.7, "split": "train", "step": 1, "tokens": 90},
        {"accuracy": 0.5, "loss": 0.6, "split": "dev", "step": 1, "tokens": None},
    ]
    assert get_datapoints({"file": written}) == written
    assert get_datapoints({"file": RECORDS}) == []  # else nobody would need it


def test_what_a_record_does_not_have_is_no_figure_in_mlflow(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    write_history(path, RECORDS)
    train, dev = (figures(record) for record in read_json(path))
    assert train == pytest.approx({"train_loss": 0.7, "train_tokens": 90})
    assert dev == pytest.approx({"dev_loss": 0.6, "dev_accuracy": 0.5})


def test_a_stage_that_trained_nothing_has_an_empty_history(tmp_path: Path) -> None:
    write_history(tmp_path / "history.json", [])
    assert read_json(tmp_path / "history.json") == []
