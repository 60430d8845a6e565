"""The registered student that was exported answers what the one in PyTorch answers."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc import PythonModelContext

from pipeline.architectures import exported
from pipeline.evaluation import calibration
from pipeline.exporting.export import export_model
from pipeline.registry import publish, served_model
from pipeline.tokenization.ragged import TokenRows
from tests.registered_students import PAIRED, STUDENTS, TEXTS

PAIRS = ["it", "in", "york", "new"]
WRITING = ("writing", "translated")


def served(folder: Path, inputs: list[str]) -> served_model.Student:
    student = served_model.Student()
    student.load_context(PythonModelContext({"model": str(folder)}, {"inputs": inputs}))
    return student


@pytest.mark.parametrize("task", [task for task in STUDENTS if task not in WRITING])
def test_a_graph_is_served_as_the_model_it_was_made_of(task: str, tmp_path: Path) -> None:
    plain, graph, scratch = (tmp_path / name for name in ("plain", "graph", "scratch"))
    STUDENTS[task](plain)
    inputs = ["text", "pair"] if task in PAIRED else ["text"]
    rows = TokenRows.from_rows([[1, 7, 2, 9, 2]] * 3, np.zeros(3, np.int64), np.dtype(np.uint16))
    if task in PAIRED:
        rows = replace(rows, seconds=np.full(3, 3))
    export_model(plain, scratch, "float32", rows, 3)
    shutil.copytree(plain, graph)
    shutil.copyfile(scratch / exported.GRAPH, graph / exported.GRAPH)

    students = [served(folder, inputs) for folder in (plain, graph)]
    assert [isinstance(student.model, served_model.Graph) for student in students] == [False, True]
    table = pd.DataFrame({"text": TEXTS, "pair": PAIRS})[inputs]
    one, other = (student.predict(PythonModelContext({}, {}), table) for student in students)
    assert list(one.columns) == list(other.columns)
    for expected, found in zip(one.to_dict("records"), other.to_dict("records"), strict=True):
        expected, found = ((row.pop("spans", row.pop("labels", None)) or [row]) for row in (expected, found))
        for before, after in zip(expected, found, strict=True):
            assert after == {
                name: pytest.approx(value, abs=1e-4) if isinstance(value, float) else value
                for name, value in before.items()
            }


def test_names_that_are_written_twice_are_the_same() -> None:
    assert served_model.GRAPH == publish.GRAPH == exported.GRAPH
    assert (exported.GRAPH, exported.RECORD) == publish.OF_GRAPH
    assert served_model.RECORD == exported.RECORD
    assert served_model.LIKELIER_THAN_NOT == calibration.LIKELIER_THAN_NOT
