"""Each benchmark runs at its smallest size, and its last line is what it says: one JSON object."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AttentionInterface

from pipeline.evaluation.fairness import flip_rates
from pipeline.files import read_json
from pipeline.params import load_params, read_yaml
from pipeline.params.fit import TeacherShape

FOLDER = Path(__file__).parents[2] / "benchmarks"
BARE = """
import runpy, sys
for name in ("pydantic", "ruamel", "mlflow", "dvc", "prefect", "great_expectations", "pandas", "datasets", "sklearn"):
    sys.modules[name] = None  # as where it is not installed
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

SMALL_JOB = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from overhead import fresh_copy, seconds_of
seconds_of([sys.executable, "-m", "pipeline.cli", "run", "evaluate"], fresh_copy(Path(sys.argv[2])))
"""


def last_line(*arguments: str) -> dict[str, Any]:
    """Run python with these arguments and return the object in its last line."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def loaded(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_what_is_trained_on_a_card_needs_torch_transformers_and_numpy() -> None:
    options = ("--tiny", "--window", "0.05", "--backend", "aot_eager")
    made = last_line("-c", BARE, str(FOLDER / "gpu.py"), *options)
    assert [shape["shape"] for shape in made["shapes"]] == ["tiny BERT", "tiny GPT-2"]
    for shape in made["shapes"]:
        assert len(shape["windows"]) == 3 and shape["waits"] == 0
        assert shape["loss"][1] < shape["loss"][0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card to measure")
def test_without_a_card_one_line_says_so() -> None:
    assert last_line(str(FOLDER / "gpu.py"))["card"] is None


def test_the_loss_that_a_card_is_timed_with_is_the_plain_one() -> None:
    gpu = loaded("gpu")
    AttentionInterface.register(gpu.UNMASKED, gpu.sdpa_attention_forward)
    for shape in gpu.TINY:
        (batch, predicted), *_ = gpu.batches_of(shape, 4)
        rows = batch["input_ids"].numpy()
        own = gpu.module_of(shape, 0.0)(**batch)
        plain = gpu.module_of(shape, 0.0, "eager").loss
        if shape.objective == "causal_lm":
            unfilled = gpu.objective_of(shape).collate(list(rows), np.random.default_rng(0))
        else:
            unfilled = batch | {name: batch[name][:predicted] for name in ("positions", "labels")}
        expected = plain(**unfilled)
        assert expected["count"] == predicted
        torch.testing.assert_close(own, expected["loss"], rtol=1e-5, atol=1e-4)


def test_tokenization() -> None:
    found = last_line(str(FOLDER / "tokenization.py"), "--size", "0.5", "--pairs", "1", "--pair-size", "0.1")
    assert len(found["pairs"]) == 1 and found["median_ratio"] == found["pairs"][0]["ratio"] > 0
    assert [size["megabytes"] for size in found["sizes"]] == [0.05, 0.5]
    assert found["growth"] == pytest.approx(found["peak_megabytes"] - found["sizes"][0]["peak_megabytes"], abs=0.1)


@pytest.mark.slow
def test_validation_finds_what_pandas_finds() -> None:
    found = last_line(str(FOLDER / "validation.py"), "--size", "0.5", "--pairs", "1", "--pair-size", "0.5")
    assert (
        found["equal"] and found["pairs"][0]["found"]["ours"].keys() == found["pairs"][0]["found"]["reference"].keys()
    )
    assert found["median_ratio"] == found["pairs"][0]["ratio"] > 0 and len(found["sizes"]) == 2


@pytest.mark.slow
def test_pretraining() -> None:
    found = last_line(str(FOLDER / "pretraining.py"), "--pairs", "1", "--steps", "1", "--shape", "1x64")
    (pair,) = found["pairs"]
    assert found["median_ratios"] == {name: pair[f"ratio_to_{name}"] for name in ("tuned", "reference")}
    assert 0 < found["utilisation"] < 1
    # all start from the same weights, and one step moves them little
    assert pair["loss_ours"] == pytest.approx(pair["loss_reference"], abs=0.05)


@pytest.mark.slow
def test_finetuning() -> None:
    found = last_line(str(FOLDER / "finetuning.py"), "--pairs", "1", "--rows", "32", "--dev", "64")
    assert found["median_ratios"].keys() == found["goals"].keys() == {"reference", "tuned"}
    assert all(0 <= accuracy <= 1 for accuracy in found["accuracy"].values())


@pytest.mark.slow
def test_distillation_runs_with_the_libraries_that_are_there() -> None:
    found = last_line(str(FOLDER / "distillation.py"), "--pairs", "1", "--rows", "64", "--epochs", "1")
    seconds = found["pairs"][0]
    ours = seconds["seconds_teacher"] + seconds["seconds_distilled"]
    share = ours / (seconds["seconds_teacher"] + seconds["seconds_labels"])
    assert found["median_teacher_share"] == pytest.approx(share, rel=0.05)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_overhead() -> None:
    found = last_line(str(FOLDER / "overhead.py"), "--pairs", "1")
    only = found["pairs"][0]
    assert only["own_seconds"] == pytest.approx(only["stillhouse"] - only["bare"], abs=0.02)
    assert found["share"] >= found["share_without_register"] > 0
    assert len(found["no_op_seconds"]["dvc"]) == 5 and len(found["no_op_seconds"]["flow"]) == 3


@pytest.mark.slow
def test_growth() -> None:
    found = last_line(str(FOLDER / "growth.py"), "--rows", "30", "--repeats", "1", "--vocabulary", "1000")
    assert list(found["stages"]) == ["ingest@imdb", "validate@imdb", "train_tokenizer", "tokenize_corpus", "pretrain"]
    for figures in (*found["stages"].values(), found["all"]):
        assert len(figures["seconds"]) == len(figures["megabytes"]) == 3 and min(figures["seconds"]) > 0
    least, more, most = found["stages"]["pretrain"]["processor_seconds"]
    assert most > more > least, "sixteen times the corpus is one pass of sixteen times the steps"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with what a small job leaves, its student evaluated."""
    folder = tmp_path_factory.mktemp("job") / "project"
    subprocess.run([sys.executable, "-c", SMALL_JOB, str(FOLDER), str(folder)], check=True)
    return folder


def lines_in(job: Path, script: str, *options: str) -> list[dict[str, Any]]:
    """Run a benchmark in a project and return the objects that it prints."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *options],
        cwd=job,
        env=os.environ | {"PYTHONPATH": str(job)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_students_of_any_depth_learn_from_the_teachers_layers_that_are_asked_where_they_have_its_heads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    students, task = loaded("students"), load_params(FOLDER.parent / "params.yaml").tasks["sentiment"]
    losses = task.distill.losses.model_copy(update={"attentions": 0.3, "hidden_cosines": 0.2, "key_relations": 10.0})
    distill = task.distill.model_copy(update={"losses": losses, "layer_map": [[1, 3], [2, 6]], "relation_heads": 12})
    shipped = task.student.architecture.model_copy(update={"attention_heads": 12})
    teacher = TeacherShape("bert", 6, 384, 12, 1536, 512)

    def learnt(name: str) -> tuple[int | None, list[list[int]], float, float, float]:
        shape = students.shape(name, shipped)
        found = students.lessons(distill, shape, teacher)
        losses = found.losses
        return shape.attention_heads, found.layer_map, losses.attentions, losses.hidden_cosines, losses.key_relations

    assert learnt("1x156")[:2] == (12, [[1, 6]])
    assert learnt("2x156") == (12, [[1, 3], [2, 6]], 0.3, 0.2, 10.0)
    assert learnt("4x192") == (12, [[3, 3], [4, 6]], 0.3, 0.2, 10.0)
    assert learnt("3x128") == (4, [[2, 3], [3, 6]], 0.0, 0.2, 0.0)  # whose width 12 relation heads do not divide
    assert learnt("bilstm-300")[2:] == (0.0, 0.0, 0.0)


@pytest.mark.slow
def test_students_of_one_teacher(job: Path, tmp_path: Path) -> None:
    options = ["--students", "1x32", "bilstm-32", "--pairs", "1", "--out", str(tmp_path / "students.svg")]
    teacher, linear, bert, bilstm = lines_in(job, "students.py", *options)
    assert [point["model"] for point in (linear, bert, bilstm)] == ["linear, words and pairs", "1x32", "bilstm-32"]
    assert teacher["bytes"] > 10 * bert["bytes"] and set(bert["without"]) == {"dev", "test"}
    assert min(*bert["times"]["pytorch"].values(), *bert["times"]["int8"].values()) > 2
    assert list(bilstm["times"]) == ["pytorch"]
    assert "bilstm-32, 2." in (tmp_path / "students.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_flips_with_mitigation_beside_those_without(job: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(job, other)  # the same models: nothing differs but what params.yaml says
    values = read_yaml(job / "params.yaml")
    values["tasks"]["sentiment"]["mitigation"]["rows"] = True
    (other / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
    (found,) = lines_in(job, "mitigation.py", "--without", str(job), "--with", str(other), "--samples", "100")
    evaluation = read_json(job / "reports/sentiment/evaluation.json")
    for model in ("teacher", "student"):
        for group, rate in flip_rates(evaluation["counterfactuals"], model).items():
            assert found[group][model]["without"]["mean"] == pytest.approx(rate, abs=1e-4)
            assert found[group][model]["difference"] == {"mean": 0.0, "interval": [0.0, 0.0], "each": [0.0]}
        assert found["accuracy"][model]["with"]["mean"] == pytest.approx(evaluation[model]["accuracy"], abs=1e-4)
    assert found["all"]["texts"] == found["rows"]["texts"] + found["templates"]["texts"] > 250
    with pytest.raises(subprocess.CalledProcessError):  # both without: nothing to compare
        lines_in(job, "mitigation.py", "--without", str(job), "--with", str(job))


def write_run(folder: Path, seed: int, student: list[int], epochs: int = 1) -> str:
    """Write what `seeds.py` reads of a finished run, whose teacher has three of four rows right."""
    reports = folder / "reports/t"
    reports.mkdir(parents=True)
    (folder / "params.yaml").write_text(f"runtime: {{seed: {seed}}}\ntasks: {{t: {{epochs: {epochs}}}}}\n")
    columns = {"teacher": [1, 1, 0, 0], "student_in_pytorch": student, "undistilled_student": [0, 1, 0, 0]}
    table = {"id": ["a", "b", "c", "d"], "label": [1, 1, 0, 1], "student": student, **columns}
    pq.write_table(pa.table(table), reports / "predictions.parquet")
    (reports / "evaluation.json").write_text('{"teacher": {"bytes": 9}, "student": {"bytes": 3}}')
    return str(folder)


def test_runs_by_several_seeds(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "one", 1, [1, 1, 0, 0]), write_run(tmp_path / "two", 2, [0, 1, 0, 0])]
    found = last_line(str(FOLDER / "seeds.py"), *runs, "--samples", "500")
    assert found["seeds"] == [1, 2] and found["rows"] == 4 and found["bytes"] == {"teacher": 9, "student": 3}
    assert found["student"]["accuracy"]["each"] == [0.75, 0.5] and found["student"]["accuracy"]["mean"] == 0.625
    assert found["student"]["kept"]["each"] == [1.0, 0.6667]
    assert found["gain"]["each"] == [0.25, 0.0]  # over the student without a teacher, right on two rows
    low, high = found["gain"]["interval"]
    assert low == 0.0 and 0.25 <= high <= 0.75
    other = write_run(tmp_path / "three", 3, [1, 1, 0, 0], epochs=2)
    for folders, said in ((runs[:1] * 2, "seeds [1, 1], expected each once"), ((runs[0], other), "another seed only")):
        done = subprocess.run([sys.executable, str(FOLDER / "seeds.py"), *folders], capture_output=True, text=True)
        assert done.returncode == 1 and said in done.stderr.splitlines()[-1]


def test_what_was_measured_is_drawn_beside_its_goal(tmp_path: Path) -> None:
    ratios, goals = {"tuned": 2.5, "reference": 4.0}, {"tuned": 1.5, "reference": 5.0}
    result = json.dumps({"median_ratios": ratios, "goals": goals})
    (tmp_path / "pretraining.txt").write_text(f"pair 1: …\n{result}\n", encoding="utf-8")
    script = [sys.executable, str(FOLDER / "plot.py"), "--out", "plot.svg", "pretraining.txt"]
    subprocess.run(script, cwd=tmp_path, check=True)
    drawn = (tmp_path / "plot.svg").read_text(encoding="utf-8")
    for told in ("pretraining against the Trainer, tuned", "2.5, goal 1.5", "4, goal 5"):
        assert told in drawn
    assert {"#2f7f6f", "#b5562b"} <= set(re.findall(r"#[0-9a-f]{6}", drawn))  # one goal is met, one missed
