"""The register stage against a real MLflow database: one student is one version, and it answers from elsewhere."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from pipeline import tracking
from pipeline.evaluation import report
from pipeline.files import InputError, content_hash, read_json, write_json
from pipeline.params import Params, load_params
from pipeline.registry import champion, promotion_log, publish, rivals
from tests.stages.stage_runs import run_evaluate, run_register
from tests.stages.tiny_project import build_project, save_model, save_tokenizer

ROOT = Path(__file__).parents[2]
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project up to and including `evaluate`, with the histories that training stages leave."""
    root = tmp_path_factory.mktemp("project")
    build_project(root)
    out = root / "reports" / "sentiment"
    run_evaluate(params(), "sentiment", root, out)
    for history in (root / "reports/pretrain/history.json", out / "finetune.json", out / "distill.json"):
        write_json(history, [{"step": step, "split": "dev", "loss": 1.0 / step} for step in (1, 2)])
    return root


def params(**gate: Any) -> Params:
    values = load_params(ROOT / "params.yaml").model_dump()
    values["tasks"]["sentiment"]["gate"] |= {"min_rows": 10} | gate
    return Params.model_validate(values)


@pytest.fixture
def project(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(evaluated, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    # absolute: within one process MLflow keeps the database that a relative address first meant
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path


def run_stage(root: Path, **gate: Any) -> dict[str, Any]:
    return dict(run_register(params(**gate), "sentiment", root)["registered"])


def test_one_student_is_one_version_and_a_worse_one_stays_challenger(project: Path) -> None:
    first = run_stage(project)
    assert (first["version"], first["aliases"]) == (1, ["champion"])
    mlflow = tracking.connect()
    version = mlflow.MlflowClient().get_model_version("sentiment", "1")
    assert version.tags[publish.STUDENT_HASH] == content_hash(project / "student")
    assert run_stage(project) == first
    assert_explains_itself(mlflow, version)
    assert len(mlflow.search_runs()) == 4  # the candidate and its three training stages, none of them twice

    published = [path for path in (project / "mlruns").rglob("*") if path.is_file()]
    assert not [path for path in published if path.suffix in PICKLES]
    answers = champion.predict("sentiment", [{"text": text} for text in ("warm bright film", "dull plot")])
    assert [sorted(answer) for answer in answers] == [["label", "score", "text"]] * 2
    assert all(answer["label"] in ("negative", "positive") and 0.5 <= answer["score"] <= 1 for answer in answers)

    save_model(project / "student", type_of_student(), 16, seed=9)
    save_tokenizer(project / "student")
    second = run_stage(project)
    assert (second["version"], second["aliases"]) == (2, ["challenger"])
    assert second["decision"].startswith("not shown to be not worse than version 1 by 1.0 points")
    assert int(mlflow.MlflowClient().get_model_version_by_alias("sentiment", "champion").version) == 1


def test_other_thresholds_are_another_version_and_cost_a_champion_nothing(project: Path) -> None:
    """The champion is asked again on rows it has not seen, and held by its likeliest labels as the candidate is."""
    wanted = params().model_dump()
    wanted["tasks"]["sentiment"]["thresholds"] = {"negative": 0.99, "positive": 0.99}  # no text is as clear
    withholding = Params.model_validate(wanted)
    run_evaluate(withholding, "sentiment", project, project / "reports/sentiment")
    first = run_register(withholding, "sentiment", project)
    assert first["abstention"]["coverage"] == 0.0 and first["student"]["accuracy"] > 0
    assert [*champion.predict("sentiment", [{"text": "warm"}])[0].values()][1] is None
    sentence = next(said for said in report.conclusions(first) if "thresholds" in said)
    assert sentence.startswith("With its thresholds it answers 0.0% of rows; of the others it would have ")
    assert "It gives a label only above a probability (negative 0.99, positive 0.99): it answers 0.0% of the rows." in (
        (project / "reports/sentiment/model_card.md").read_text(encoding="utf-8")
    )

    path = project / "rows/test.parquet"
    renamed = pd.read_parquet(path)
    renamed["id"] += "b"
    renamed.to_parquet(path)
    run_evaluate(params(), "sentiment", project, project / "reports/sentiment")
    second = run_register(params(), "sentiment", project)
    assert (second["registered"]["version"], second["abstention"]) == (2, None)
    rivals_of = tracking.connect().MlflowClient().get_model_version("sentiment", "2").tags["stillhouse.decision"]
    assert "version 1" in rivals_of and second["student"]["accuracy"] == first["student"]["accuracy"]
    compared = rivals.side_by_side(
        tracking.connect(), "sentiment", project / "reports/sentiment/predictions.parquet", project / "rows",
        list(wanted["tasks"]["sentiment"]["labels"]),
    )  # fmt: skip
    assert list(compared.champions[1]) == list(compared.candidate)


def assert_explains_itself(mlflow: Any, version: Any) -> None:
    """What people find in MLflow: experiments and a model with descriptions, a card without YAML, linked metrics."""
    client = mlflow.MlflowClient()
    for experiment in (tracking.EXPERIMENT, promotion_log.EXPERIMENT):
        assert client.get_experiment_by_name(experiment).tags[tracking.NOTE]
    assert "`stillhouse history sentiment`" in client.get_registered_model("sentiment").description
    assert version.description.startswith("# sentiment\n") and "model-index" not in version.description
    [model] = client.search_logged_models([client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id])
    [registered] = json.loads(model.tags["mlflow.modelVersions"])
    assert (registered["name"], int(registered["version"])) == ("sentiment", 1)
    metrics = mlflow.get_run(version.run_id).data.metrics
    assert {"student_accuracy", "relative_score"} <= set(metrics)
    assert {metric.key: metric.value for metric in model.metrics} == metrics


@pytest.mark.parametrize(
    ("limit", "decision"),
    [
        (
            {"max_flip_rate": 0.1},
            "12.0% of the texts about gender get another label when people are exchanged, the gate allows 10.0%",
        ),
        (
            {"max_flip_rate_increase": 0.05},
            "10.0 points more of the texts about gender than with the teacher get another label when people are "
            "exchanged, the gate allows 5.0 points",
        ),
    ],
    ids=["at all", "more than its teacher"],
)
def test_a_student_that_minds_who_a_text_speaks_of_is_no_champion(
    project: Path, limit: dict[str, float], decision: str
) -> None:
    path = project / "reports/sentiment/evaluation.json"
    found = read_json(path)
    assert found["counterfactuals"]["gender"]["templates"]["texts"] == 50
    found["counterfactuals"]["gender"]["templates"]["student"]["flip_rate"] = 0.12
    found["counterfactuals"]["gender"]["templates"]["teacher"]["flip_rate"] = 0.02
    write_json(path, found)
    first = run_stage(project, **limit)
    assert first["aliases"] == ["challenger"]
    assert first["decision"] == decision
    metrics = tracking.connect().search_runs(filter_string="metrics.student_flip_rate_gender > 0.119")
    assert len(metrics) == 1
    assert "| gender | 50 templates | " in (project / "reports/sentiment/model_card.md").read_text(encoding="utf-8")


def test_the_champion_before_is_asked_about_the_same_people(project: Path) -> None:
    """Each version's figures are those that its own evaluation has, and stay what they were found to be."""
    rows = project / "rows/test.parquet"
    table = pd.read_parquet(rows)
    table.loc[:1, "text"] = ["he plot warm", "film she dull"]
    table.to_parquet(rows)
    first, measured = evaluated_and_registered(project, seed=2)
    assert first["before"] is None
    assert "no champion is known that came before" in (project / "reports/index.html").read_text(encoding="utf-8")
    second, after = evaluated_and_registered(project, seed=9)
    assert (first["registered"]["version"], second["registered"]["version"]) == (1, 2)
    assert second["registered"]["aliases"] == ["challenger"]
    found = second["before"]
    assert (found["version"], found["left_out"]) == (1, 0)
    for group, kinds in after.items():
        for kind in kinds.keys() - {"sides"}:
            both = found["groups"][group][kind]
            assert both["texts"] == kinds[kind]["texts"]
            for figure in ("flip_rate", "score_gap"):
                assert both["before"][figure] == measured[group][kind]["student"][figure]
                assert both["after"][figure] == kinds[kind]["student"][figure]
    assert found["groups"]["gender"]["rows"]["texts"] == 2 and found["all"]["texts"] == 2 + 5 * 50
    every = found["all"]
    rates = every["before"]["flip_rate"], every["after"]["flip_rate"]
    assert rates[0] != rates[1]
    assert every["after_minus_before"]["flip_rate"]["difference"] == pytest.approx(rates[0] - rates[1], abs=2e-6)
    page = (project / "reports/index.html").read_text(encoding="utf-8")
    assert "Before → after: version 1, which was champion when this student came" in page
    card = (project / "reports/sentiment/model_card.md").read_text(encoding="utf-8")
    assert "of 252 texts, rows and templates together, version 1 of " in card
    assert "version 1 of " in tracking.connect().MlflowClient().get_model_version("sentiment", "2").description

    tracking.connect().MlflowClient().set_registered_model_alias("sentiment", "champion", "2")
    (project / "reports/sentiment/registered.json").unlink()
    assert run_register(params(), "sentiment", project)["before"] == found  # a version is not its own predecessor


def test_a_champion_that_cannot_be_compared_is_not(project: Path) -> None:
    rows = project / "rows/test.parquet"
    table = pd.read_parquet(rows)
    table.loc[:1, "text"] = ["he plot warm", "film she dull"]
    table.to_parquet(rows)
    evaluated_and_registered(project, seed=2)
    table.loc[0, "id"] = "train0000"  # the champion has learnt from it
    table.to_parquet(rows)
    learnt = evaluated_and_registered(project, seed=9)[0]["before"]
    assert (learnt["left_out"], learnt["groups"]["gender"]["rows"]["texts"]) == (1, 1)

    mlflow, record = tracking.connect(), project / "reports/sentiment/registered.json"
    version = mlflow.MlflowClient().get_model_version("sentiment", "1")
    stored = champion.student_folder(mlflow, version)
    assert stored is not None
    config = read_json(stored / "config.json")
    write_json(stored / "config.json", config | {"id2label": {"0": "bad", "1": "good"}})
    record.unlink()
    named = run_register(params(), "sentiment", project)["before"]
    assert (named["version"], named["reason"], "all" in named) == (1, "its labels are bad, good", False)
    write_json(stored / "config.json", config)
    assert run_register(params(), "sentiment", project)["before"] == learnt  # what could not be done is tried again
    record.unlink()
    Path(mlflow.artifacts.download_artifacts(run_id=version.run_id), rivals.TRAINING_ROWS).unlink()
    lost = run_register(params(), "sentiment", project)["before"]
    assert lost["reason"] == "the list of the rows that it has learnt from is gone"
    shutil.rmtree(stored)
    assert run_register(params(), "sentiment", project)["before"]["reason"] == "its student is stored no more"


def evaluated_and_registered(project: Path, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Evaluate and register a student whose answers words move; return its summary and its figures of people."""
    save_model(project / "student", type_of_student(), 16, seed=seed)
    save_tokenizer(project / "student")
    weights = load_file(project / "student/model.safetensors")
    weights = {name: 20 * own for name, own in weights.items()}
    save_file(weights, project / "student/model.safetensors", metadata={"format": "pt"})
    run_evaluate(params(), "sentiment", project, project / "reports/sentiment")
    summary = run_register(params(), "sentiment", project)
    return summary, read_json(project / "reports/sentiment/evaluation.json")["counterfactuals"]


def type_of_student() -> Any:
    from transformers import BertForSequenceClassification

    return BertForSequenceClassification


def test_a_dvc_experiment_is_recorded_in_the_projects_mlflow_and_registers_nothing(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC runs a queued experiment in a copy, here `project`, and names the project itself in DVC_ROOT."""
    own = tmp_path_factory.mktemp("own")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("DVC_EXP_NAME", "cold")
    monkeypatch.setenv("DVC_ROOT", str(own))
    with pytest.raises(InputError, match=r"summary.json: no such file"):  # which `run_register` reads afterwards
        run_stage(project)
    assert not (project / "mlflow.db").exists() and not (project / "reports/sentiment/registered.json").exists()
    mlflow = tracking.connect()
    assert mlflow.get_tracking_uri() == f"sqlite:///{own}/mlflow.db"
    assert mlflow.MlflowClient().search_registered_models() == []
    (run,) = mlflow.search_runs(filter_string="tags.`stillhouse.experiment` = 'cold'", output_format="list")
    assert (
        run.data.metrics["student_accuracy"]
        == read_json(project / "reports/sentiment/evaluation.json")["student"]["accuracy"]
    )
    assert (own / "mlruns").is_dir()
