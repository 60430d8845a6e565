"""docs/scoring.md on an S3: the files of a list answered by one process and by Ray."""

import hashlib
import os
import re
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from pipeline.params import read_yaml
from pipeline.scoring.batch import score
from pipeline.scoring.scorer import Scorer
from tests.documentation.pages import ROOT, commands
from tests.registered_students import register_students
from tests.services.s3_server import BUCKET, serving, shell

(COMMAND,) = (command for command in commands(ROOT / "docs/scoring.md") if "s3://" in command)
FILES = [f"{number}.parquet" for number in range(3)]


def test_a_list_of_files_is_answered_from_s3_to_s3(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    register_students(tmp_path)
    values = read_yaml(ROOT / "params.yaml")
    with serving(port):
        shell(tmp_path, BUCKET)
        listed = ""
        for file in FILES:
            pq.write_table(pa.table({"id": list(range(1500)), "text": [f"in new york {file}"] * 1500}), file)
            boto3.client("s3").upload_file(file, "corpus", f"reviews/{file}")
            listed += f"{hashlib.sha256(Path(file).read_bytes()).hexdigest()}  {file}\n"
        Path("reviews.sha256").write_text(listed)
        for engine in ("local", "ray"):
            YAML().dump(values | {"engine": engine}, tmp_path / "params.yaml")
            said = shell(tmp_path, COMMAND.replace("corpus/answered", f"corpus/{engine}"))
            assert re.search(r"answered\.sha256: 4,500 rows answered by sentiment/1;", said), said
            check_answers(engine, values["runtime"]["threads"])
            Path("answered.sha256").unlink()


def check_answers(engine: str, threads: int) -> None:
    """Each object is what the file by itself is answered with, and the one that the list names."""
    listed = dict(reversed(line.split("  ")) for line in Path("answered.sha256").read_text().splitlines())
    for file in FILES:
        alone, found = Path(f"alone-{file}"), Path(f"{engine}-{file}")
        score(Scorer("sentiment", threads), Path(file), alone)
        boto3.client("s3").download_file("corpus", f"{engine}/{file}", str(found))
        assert found.read_bytes() == alone.read_bytes()
        assert hashlib.sha256(found.read_bytes()).hexdigest() == listed[file]
