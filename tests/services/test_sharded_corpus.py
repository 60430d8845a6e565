"""docs/how-to/sharded-corpus.md followed on an S3 server: what the page says, and a storage that goes away."""

import io
import re
import shutil
import subprocess
import time
from pathlib import Path

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from pipeline.files import InputError, content_hash, read_json
from pipeline.params import read_yaml
from pipeline.smoke import at_smoke_scale
from pipeline.storage import Storage
from pipeline.tokenization.shards import CACHE, KEY, MANIFEST
from tests.distributed.training_project import HISTORY, PRETRAINED, into_shards, make_project, run, start
from tests.documentation.pages import ROOT, shell_environment
from tests.matrix.rows import reviews
from tests.services.s3_server import BUCKET, PAGE, serving, shell
from tests.trust.whole_project import checkout


def objects() -> set[str]:
    return {entry["Key"] for entry in boto3.client("s3").list_objects_v2(Bucket="corpus")["Contents"]}


def test_the_page_followed_to_the_language_model(port: int, tmp_path: Path) -> None:
    folder = checkout(ROOT, tmp_path / "project")
    given = YAML(typ="safe").load(re.search(r"^    corpus:\n(?: {6}.+\n)+", PAGE.read_text(), re.MULTILINE)[0])  # type: ignore[index]
    values = at_smoke_scale(read_yaml(folder / "params.yaml"))
    values["corpus"] = given["corpus"]
    values["corpus"]["shards"] |= {"megabytes": 0.02, "window": 2}
    YAML().dump(values, folder / "params.yaml")
    with serving(port):
        shell(folder, BUCKET)
        assert "pretrain" in shell(folder, "dvc repro pretrain")
        names = [
            f"tokens/{shard['sha256']}.npy" for shard in read_json(folder / "data/tokens/corpus" / MANIFEST)["shards"]
        ]
        assert len(names) > 3 and set(names) == objects()

        with pytest.raises(InputError, match=r"^s3://other/tokens/none: .*NO_SUCH_BUCKET.*, expected a storage that"):
            Storage("s3://other/tokens", KEY).send("none", io.BytesIO(b"none"))
        boto3.client("s3").delete_object(Bucket="corpus", Key=names[1])
        shell(folder, "dvc repro --force --single-item tokenize_corpus")
        assert set(names) == objects()
    kept = {file.name for file in (folder / "data/tokens/corpus").iterdir()}
    assert kept == {"dev_input_ids.npy", "meta.json", MANIFEST}
    assert (folder / PRETRAINED).exists() and not (folder / CACHE).exists()


def test_text_from_the_storage_gives_the_bytes_of_text_in_the_project(port: int, tmp_path: Path) -> None:
    folder, url = checkout(ROOT, tmp_path / "project"), "s3://corpus/reviews"
    texts = reviews("imdb", 300)
    files = [f"{number}.parquet" for number in range(3)]
    (folder / "reviews").mkdir()
    for file, part in zip(files, np.array_split(texts, 3), strict=True):
        pq.write_table(pa.table({"text": part.tolist(), "source": ["imdb"] * len(part)}), folder / "reviews" / file)
    (listed,) = re.findall(r"^    (.+sha256sum .+)$", PAGE.read_text(), re.MULTILINE)
    shell(folder, listed)
    (given,) = re.findall(r"^    path: .+\n    source:\n(?: {6}.+\n)+", PAGE.read_text(), re.MULTILINE)
    with serving(port):
        shell(folder, BUCKET)
        for file in files:
            boto3.client("s3").upload_file(str(folder / "reviews" / file), "corpus", f"reviews/{file}")
        found = ingested(folder, YAML(typ="safe").load(given))

        boto3.client("s3").delete_object(Bucket="corpus", Key="reviews/1.parquet")
        failed = subprocess.run(
            ["dvc", "repro", "--force", "--single-item", "ingest@imdb"],
            cwd=folder, env=shell_environment(folder), capture_output=True, text=True,
        )  # fmt: skip
        assert failed.returncode and f"{url}/1.parquet: no such file, expected it on the storage" in failed.stderr
    (folder / "reviews").rename(folder / "data/raw/reviews")
    source = {"kind": "file", "format": "parquet", "header": None, "origin": None}
    source |= {"files": {"train": files, "dev": [], "test": []}}
    assert ingested(folder, {"path": "data/raw/reviews", "source": source}) == found


def ingested(folder: Path, changes: dict[str, object]) -> list[str]:
    """Return what ingest makes of the corpus whose parameters are changed, by the hashes of its outputs."""
    values = read_yaml(folder / "params.yaml")
    values["datasets"]["imdb"] |= changes
    YAML().dump(values, folder / "params.yaml")
    shell(folder, "dvc repro ingest@imdb")
    return [content_hash(folder / "data" / name) for name in ("ingested/imdb", "held_out/imdb.jsonl")]


def test_a_storage_that_goes_away_ends_the_run_in_a_line_and_back_again_it_goes_on(port: int, tmp_path: Path) -> None:
    """The weights are those of a run on a folder."""
    settings = {"dropout": 0.1, "checkpoint_minutes": 0.002}
    whole = into_shards(make_project(tmp_path / "whole", **settings), f"file://{tmp_path}/storage")
    run(whole)
    with serving(port):
        shell(tmp_path, BUCKET)
        folder = into_shards(make_project(tmp_path / "project", **settings), "s3://corpus/tokens")
        process = start(folder)
        while not any(folder.glob(".stillhouse/checkpoints/*/step-*/complete.json")):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
    printed = process.communicate()[0]
    line = printed.splitlines()[-1]
    assert process.returncode == 2
    assert re.match(
        r"pretrain: s3://corpus/tokens/\w+\.npy: .+, expected a storage that answers \(corpus\.shards\.url\)$", line
    )
    shutil.rmtree(folder / CACHE)

    with serving(port):  # a new one, which knows nothing
        shell(tmp_path, BUCKET)
        for file in (tmp_path / "storage").iterdir():
            boto3.client("s3").upload_file(str(file), "corpus", f"tokens/{file.name}")
        assert "goes on from step" in run(folder)
    for name in (PRETRAINED, HISTORY):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
