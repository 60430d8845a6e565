"""Rows of files on a storage are those of the same files in the project; the disk holds one file at a time."""

import gzip
import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from pipeline.files import InputError
from pipeline.params import ColumnsParams, LocalSource, StorageSource
from pipeline.params.sources import FilesParams
from pipeline.sources.reading import read_source

COLUMNS = ColumnsParams(text="text", label="label")
LIST = Path("rows.sha256")


@pytest.fixture(autouse=True)
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three files below `storage`, one of them gzipped, with a list beside it that sha256sum has made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "storage/a").mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    names = ["a/0.jsonl", "a/1.jsonl.gz", "2.jsonl"]
    for number, name in enumerate(names):
        lines = [json.dumps({"text": f"row {row} of {name}", "label": row % 2}) for row in range(3 + number)]
        opened = gzip.open if name.endswith(".gz") else open
        with opened(tmp_path / "storage" / name, "wt") as file:
            file.write("\n".join(lines))
    LIST.write_bytes(subprocess.run(["sha256sum", *names], cwd="storage", capture_output=True, check=True).stdout)
    return names


def storage(**changes: object) -> StorageSource:
    values = {"kind": "storage", "format": "jsonl", "url": f"file://{Path.cwd()}/storage"}
    return StorageSource.model_validate(values | changes)


def test_the_rows_are_those_of_the_same_files_in_the_project(names: list[str]) -> None:
    files = FilesParams(train=names, dev=[], test=[])
    local = LocalSource(kind="file", format="jsonl", header=None, files=files, origin=None)
    wanted = list(read_source(local, Path("storage"), COLUMNS))
    found, held = [], []
    for rows in read_source(storage(), LIST, COLUMNS, Path("scratch")):
        found.append(rows)
        held.append(len(list(Path("scratch").iterdir())))
    assert [rows[1:] for rows in found] == [rows[1:] for rows in wanted] and len(found) == 3
    assert [rows.name for rows in found] == [f"file://{Path.cwd()}/storage/{name}" for name in names]
    assert held == [1, 1, 1] and not list(Path("scratch").iterdir())


def test_a_file_that_is_gone_changed_or_wrong_is_named(names: list[str]) -> None:
    place = f"file://{Path.cwd()}/storage/2.jsonl"
    broken = Path("storage/2.jsonl")
    broken.write_text('{"text": "a", "label": 1}\n{"text": "b"\n')
    sha256 = hashlib.sha256(broken.read_bytes()).hexdigest()
    with pytest.raises(InputError, match=rf"^{place}: 39 bytes with sha256 {sha256}, expected \w{{64}}$"):
        list(read_source(storage(), LIST, COLUMNS, Path("scratch")))
    LIST.write_text(f"{sha256}  2.jsonl\n")
    with pytest.raises(InputError, match=rf"^{place}: row 2 \(line 2\): not JSON "):
        list(read_source(storage(), LIST, COLUMNS, Path("scratch")))
    broken.unlink()
    with pytest.raises(InputError, match=rf"^{place}: no such file, expected it on the storage \(source\.url\)$"):
        list(read_source(storage(), LIST, COLUMNS, Path("scratch")))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("2.jsonl", "'2.jsonl', expected 64 digits, two spaces and a file's name"),
        (f"{'a' * 63}  2.jsonl", "expected 64 digits"),
        (f"{'a' * 64}  /2.jsonl", "/2.jsonl leaves the folder, expected a path inside it"),
        (f"{'a' * 64}  ../2.jsonl", "../2.jsonl leaves the folder"),
        (f"{'a' * 64}  a/0.jsonl", "a/0.jsonl stands there twice, expected it once"),
    ],
)
def test_a_line_that_is_none_of_a_list_is_named(line: str, says: str) -> None:
    LIST.write_text(f"{LIST.read_text()}{line}\n")
    with pytest.raises(InputError, match=r"^rows\.sha256: line 4: ") as caught:
        list(read_source(storage(), LIST, COLUMNS, Path("scratch")))
    assert says in str(caught.value)


def test_a_list_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"^none\.sha256: no such file, expected the list of a dataset's files"):
        list(read_source(storage(), Path("none.sha256"), COLUMNS, Path("scratch")))


def test_formats_whose_files_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="format must be one of csv, tsv, jsonl, parquet, text on a storage"):
        storage(format="aligned")
