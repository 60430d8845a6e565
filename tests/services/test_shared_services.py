"""The default job on PostgreSQL and S3, from one clone to another, and two people at once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from pipeline import tracking
from pipeline.files import read_json
from pipeline.registry.promotions import promotions_of
from pipeline.registry.publish import STUDENT_HASH
from pipeline.stage_run import OUTPUT_HASH, STAGE
from tests.services.compose import SECRETS, Services
from tests.services.conftest import name_remote, run
from tests.trust.registered_project import make
from tests.trust.test_07_two_checkouts import MOVES, NAME, start

TRAINED = {"pretrain", "finetune@sentiment", "distill@sentiment"}


def rows(team: Services, database: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(team.database(database)) as connection:
        return connection.execute(query).fetchall()


def objects(team: Services, bucket: str) -> list[str]:
    storage = boto3.client(
        "s3",
        endpoint_url=team.address("storage"),
        aws_access_key_id=SECRETS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=SECRETS["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    pages = storage.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page["Contents"]]


def stillhouse(team: Services, clone: Path, *words: str, **environment: str) -> str:
    return run(team, clone, sys.executable, "-m", "pipeline.cli", *words, **environment)


def test_runs_lie_in_postgresql_and_bytes_in_the_storage(team: Services, first_clone: Path) -> None:
    assert rows(team, "prefect", "select state_name from flow_run where name is not null") == [("Completed",)]
    whole = f"select run_uuid from tags where key = '{OUTPUT_HASH}'"
    stages = rows(team, "mlflow", f"select value from tags where key = '{STAGE}' and run_uuid in ({whole})")
    assert {stage for (stage,) in stages} == TRAINED
    assert rows(team, "mlflow", "select alias, version from registered_model_aliases") == [("champion", 1)]
    assert {Path(key).name for key in objects(team, "mlflow")} >= {"model.onnx", "dvc.lock", "promotions.jsonl"}
    assert len(objects(team, "dvc")) > 50
    assert not (first_clone / "mlflow.db").exists()
    assert not (first_clone / "mlruns").exists()


def test_a_version_is_verified_and_asked_without_leaving_a_file_behind(
    team: Services, first_clone: Path, tmp_path: Path
) -> None:
    assert "BROKEN" not in stillhouse(team, first_clone, "verify", "sentiment@champion", TMPDIR=str(tmp_path))
    assert "@champion none" in stillhouse(team, first_clone, "history", "sentiment", TMPDIR=str(tmp_path))
    stillhouse(team, first_clone, "predict", "sentiment", "A warm and funny film.", TMPDIR=str(tmp_path))
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_dir()] == []  # no folder of what MLflow fetched


@pytest.fixture(scope="module")
def second_clone(team: Services, first_clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another person's clone of the first one, with what DVC has of it."""
    folder = tmp_path_factory.mktemp("second") / "clone"
    subprocess.run(["git", "clone", "--quiet", str(first_clone), str(folder)], check=True)
    name_remote(team, folder)
    run(team, folder, "dvc", "pull")
    return folder


def test_another_clone_restores_everything_and_trains_nothing(
    team: Services, first_clone: Path, second_clone: Path
) -> None:
    versions = rows(team, "mlflow", "select version, storage_location from model_versions")
    runs = rows(team, "mlflow", "select count(*) from runs")
    stillhouse(team, second_clone, "run")
    assert set(read_json(second_clone / ".stillhouse/timings.json")) == {"register@sentiment"}  # the stages that ran
    assert not (second_clone / ".stillhouse/checkpoints").exists()
    assert (second_clone / "dvc.lock").read_bytes() == (first_clone / "dvc.lock").read_bytes()
    assert rows(team, "mlflow", "select version, storage_location from model_versions") == versions
    assert rows(team, "mlflow", "select count(*) from runs") == runs


def test_an_mlflow_that_knew_nothing_becomes_whole(team: Services, second_clone: Path) -> None:
    from mlflow import MlflowClient

    stillhouse(team, second_clone, "run", MLFLOW_TRACKING_URI="")  # the clone's own database
    assert set(read_json(second_clone / ".stillhouse/timings.json")) == {"register@sentiment"}
    own = MlflowClient(f"sqlite:///{second_clone}/mlflow.db")
    shared = MlflowClient(team.address("mlflow"))
    version, other = (client.get_model_version_by_alias("sentiment", "champion") for client in (own, shared))
    assert version.tags[STUDENT_HASH] == other.tags[STUDENT_HASH]
    experiment = own.get_experiment_by_name("stillhouse").experiment_id
    behind = own.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{version.run_id}'")
    assert {run.data.tags[STAGE] for run in behind} == TRAINED
    (distill,) = (run for run in behind if run.data.tags[STAGE] == "distill@sentiment")
    wanted = {record["step"] for record in read_json(second_clone / "reports/sentiment/distill.json")}
    curves = [own.get_metric_history(distill.info.run_id, name) for name in distill.data.metrics]
    assert {point.step for curve in curves for point in curve} == wanted
    assert "BROKEN" not in stillhouse(team, second_clone, "verify", "sentiment@champion", MLFLOW_TRACKING_URI="")


def test_two_people_who_promote_at_once_lose_no_move(
    team: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    for name, value in team.clients().items():
        monkeypatch.setenv(name, value)
    client, moved = MlflowClient(team.address("mlflow")), "promoted by two"
    client.create_registered_model(moved)
    for _ in range(4):
        client.create_model_version(moved, "s3://mlflow/nowhere")
    program = MOVES.replace(f'"{NAME}"', f'"{moved}"')
    with start(tmp_path / "one", program, "2", "3") as first, start(tmp_path / "two", program, "4", "1") as second:
        for process in (first, second):
            errors = process.communicate()[1]
            assert process.returncode == 0, errors
    monkeypatch.chdir(tmp_path)
    with promotions_of(tracking.connect(), moved) as promotions:
        moves = [(line["to"], line["by"]) for line in promotions.lines]
    assert {by for _, by in moves} == {"gate"}
    turns = [(moves[place][0], moves[place + 1][0]) for place in range(0, 8, 2)]
    assert sorted(turns) == [(2, 3)] * 2 + [(4, 1)] * 2
    assert int(client.get_model_version_by_alias(moved, "champion").version) == moves[-1][0]


REGISTER = """
import time
from pathlib import Path
from tests.trust.registered_project import register_student
Path("ready").touch()
while len(list(Path("..").glob("*/ready"))) < 2:
    time.sleep(0.001)
register_student(Path.cwd())
"""


def test_two_people_who_register_one_student_at_once_make_one_version(
    team: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    make(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two", symlinks=True)
    with psycopg.connect(team.database("postgres"), autocommit=True) as connection:
        connection.execute("create database another")
    uri = team.database("another").replace("postgresql:", "postgresql+psycopg:")  # without a server of MLflow's
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = MlflowClient(uri)
    client.search_experiments()  # creates the tables
    site = os.pathsep.join([str(tmp_path / "one/site"), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", site)
    with start(tmp_path / "one", REGISTER) as first, start(tmp_path / "two", REGISTER) as second:
        for process in (first, second):
            errors = process.communicate()[1]
            assert process.returncode == 0, errors
    (version,) = client.search_model_versions("name = 'sentiment'")
    aliases = client.get_registered_model("sentiment").aliases
    assert {alias: int(number) for alias, number in aliases.items()} == {"champion": int(version.version)}
    for who in ("one", "two"):
        registered = read_json(tmp_path / who / "reports/sentiment/registered.json")["registered"]
        assert registered["run_id"] == version.run_id
        assert SECRETS["POSTGRES_PASSWORD"] not in str(registered)
