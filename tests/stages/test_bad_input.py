"""Bad input from end to end: `stillhouse run` says one line, ends with 2, and what was good before comes back."""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.drivers import failure
from pipeline.files import content_hash, write_json
from pipeline.params import check_params, read_yaml

ROOT = Path(__file__).parents[2]
ROWS = Path("data/raw/rows.csv")
OUTPUTS = (Path("data/ingested/rows"), Path("data/held_out/rows.jsonl"))
LIMIT = 600_000  # bytes: more than DVC's own databases grow to here
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
WORDS = ("stone", "river", "lantern", "copper", "meadow", "violin", "harbour", "winter", "pepper", "castle", "marble")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after a good run. Its DAG is the first stage of the real one: bad rows get no further."""
    folder = tmp_path_factory.mktemp("good") / "project"
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("constraints.txt", ".dvcignore", ".dvc/config", "data/held_out/none.jsonl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    write_json(folder / "reports/summary.json", {"tasks": {}})
    definition = read_yaml(ROOT / "dvc.yaml")
    definition["stages"] = {"ingest": definition["stages"]["ingest"]}
    values = read_yaml(ROOT / "recipes/sentiment-from-scratch.yaml")
    dataset = values["datasets"]["rotten_tomatoes"]
    source = {"kind": "file", "format": "csv", "header": None, "files": None, "origin": None}
    dataset.update(path=str(ROWS), source=source, only_sources=None, split={"dev": 0.1, "test": 0.2})
    dataset.update(columns={"text": "text", "label": "label", "source": None, "spans": None})
    values.update(datasets={"rows": dataset}, corpus=values["corpus"] | {"dataset": "rows"})
    values["tasks"]["sentiment"]["dataset"] = "rows"
    check_params(values, Path("params.yaml"))
    for name, content in (("dvc.yaml", definition), ("params.yaml", values)):
        with open(folder / name, "w", encoding="utf-8") as file:
            YAML().dump(content, file)
    (folder / ROWS).parent.mkdir()
    (folder / ROWS).write_text("text,label\n" + "".join(f"{text(i)},{i % 2}\n" for i in range(200)))
    assert stillhouse(folder)[0] == 0
    return folder


def text(number: int) -> str:
    """Return twelve words that no other number gives."""
    return " ".join(WORDS[(number // 7**place + place) % len(WORDS)] for place in range(12)) + f" {number:x}"


@pytest.fixture
def project(good: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(good, folder)
    return folder


def stillhouse(folder: Path, before: Callable[[], object] | None = None) -> tuple[int, str, str]:
    """Run `stillhouse run` in `folder` after `before` in the child; return exit code, output and errors."""
    command = [sys.executable, "-m", "pipeline.cli", "run"]
    ended = subprocess.run(command, cwd=folder, preexec_fn=before, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in ended.stdout + ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def no_large_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))


def bound_by_permissions() -> None:
    """Take from root, who may write anywhere, what it may more than others; for others there is nothing to take."""
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability)


def test_bad_rows_and_a_full_disk_are_one_line_and_the_good_outputs_come_back(project: Path, good: Path) -> None:
    with open(project / ROWS, "a", encoding="utf-8") as file:
        file.write("odd words here,7\n")
    code, _, errors = stillhouse(project)
    found = f"{ROWS}: row 201: label '7', expected one of ['0', '1'] (columns.label, labels)"
    assert (code, errors) == (2, f"stillhouse: ingest@rows: {found}\n")

    with open(project / ROWS, "w", encoding="utf-8") as file:
        file.writelines(["text,label\n", *(f"{text(i)},{i % 2}\n" for i in range(24_000))])
    assert (project / ROWS).stat().st_size > LIMIT
    code, _, errors = stillhouse(project, no_large_files)
    full = "data/ingested/rows: could not be written (File too large), expected room on the disk"
    assert (code, errors) == (2, f"stillhouse: ingest@rows: {full}\n")

    shutil.copy(good / ROWS, project / ROWS)
    code, output, errors = stillhouse(project)
    assert (code, errors) == (0, "") and "(restored from the cache)" in output
    for path in (*OUTPUTS, Path("dvc.lock"), Path("params.yaml")):
        assert content_hash(project / path) == content_hash(good / path), path
    assert not list(project.rglob("*.partial"))


@pytest.mark.skipif(sys.platform != "linux", reason="root is bound by permissions on Linux only")
@pytest.mark.parametrize(
    ("closed", "expected"),
    [
        (".", "{}: not writable by user {user}, expected one who may write to it"),
        ("data", "{}: not writable by user {user}, expected one who may write to it"),
        ("dvc.lock", "{}: not writable by user {user}, expected one who may write to it"),
        ("data/raw/rows.csv", "params.yaml: datasets.rows.path: data/raw/rows.csv: not readable, "),
        ("data/ingested/rows", "failed to reproduce 'ingest@rows': [Errno 13] Permission denied: '{}"),
    ],
)
def test_a_place_closed_to_the_user_is_named_and_nothing_is_lost(
    project: Path, good: Path, closed: str, expected: str
) -> None:
    with open(project / ROWS, "a", encoding="utf-8") as file:
        file.write(f"{text(300)},1\n")
    path = project / closed
    path.chmod(0o555 if path.is_dir() else 0o000 if path.suffix == ".csv" else 0o444)
    try:
        code, _, errors = stillhouse(project, bound_by_permissions)
        assert (code, errors.count("\n")) == (2, 1)
        assert errors.startswith("stillhouse: " + expected.format(path.resolve(), user=os.getuid()))
        for output in (*OUTPUTS, Path("dvc.lock")):
            assert content_hash(project / output) == content_hash(good / output), output
    finally:
        path.chmod(0o755)


@pytest.fixture
def small_data(project: Path) -> Iterator[Path]:
    """The project with data/ on a disk of its own, of one megabyte."""
    data, before = project / "data", project / "before"
    data.rename(before)
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(data)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a disk here")
    try:
        shutil.copytree(before, data, dirs_exist_ok=True)
        yield project
    finally:
        subprocess.run(["umount", str(data)], check=True)


def test_a_disk_full_under_data_alone_is_named(small_data: Path, good: Path) -> None:
    """A stage names what it could not write; DVC copies what it restores from its cache, which is on another disk."""
    filler = small_data / "data/filler"
    for change in ("written", "restored"):
        shutil.copy(good / ROWS, small_data / ROWS)
        if change == "written":
            with open(small_data / ROWS, "r+", encoding="utf-8") as file:
                file.write("text,label\nother")  # in place: another row of as many bytes
        else:
            shutil.rmtree(small_data / OUTPUTS[0], ignore_errors=True)
        room = os.statvfs(small_data / "data")
        filler.write_bytes(bytes(room.f_bavail * room.f_frsize))
        code, _, errors = stillhouse(small_data)
        filler.unlink()
        assert (code, errors.count("\n")) == (2, 1)
        if change == "written":
            full = f"{OUTPUTS[0]}: could not be written (No space left on device)"
            assert errors.startswith(f"stillhouse: ingest@rows: {full}"), errors
        else:
            assert errors.startswith(f"stillhouse: {small_data}/data/"), errors
            assert ": could not be copied from DVC's cache, expected room on its disk and user " in errors

    assert stillhouse(small_data)[0] == 0
    for path in OUTPUTS:
        assert content_hash(small_data / path) == content_hash(good / path), path


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["x: out: no room", "ERROR: failed to reproduce 'x'"], (1, "x: out: no room")),
        (
            ["x: out: Disk quota exceeded, expected room on the disk"],
            (2, "x: out: Disk quota exceeded, expected room on"),
        ),
        (["ERROR: [Errno 28] No space left on device"], (2, "[Errno 28] No space left on device, expected room on")),
        (["ERROR: failed to push"], (1, "failed to push")),
        (
            ["ERROR: failed to reproduce 'x': No possible cache link types for '/data/a'. See <https://x> for more."],
            (2, "/data/a: could not be copied from DVC's cache, expected room on its disk and user "),
        ),
        (
            ["ERROR: unexpected error - disk I/O error"],
            (2, "DVC's own database (`dvc doctor` names its folder as Repo.site_cache_dir): disk I/O error, expected"),
        ),
        ([], (1, "x: ended without a word, perhaps killed")),
    ],
)
def test_what_a_stage_could_not_leave_is_read_from_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], expected: tuple[int, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, line = failure("x", lines)
    assert code == expected[0] and line.startswith(expected[1]) and line.count("expected") == code - 1


WRITERS = """\
import resource, sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq, torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from pipeline.files import explain, replacing, write_text

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
numbers = np.random.default_rng(0).random(10_000)
words = {f"{number:.12f}": index for index, number in enumerate(numbers)}
writers = {
    "text": lambda draft: draft.write_text("x" * 10_000),
    "numpy": lambda draft: np.save(draft.open("wb"), numbers),
    "parquet": lambda draft: pq.write_table(pa.table({"a": numbers}), draft),
    "safetensors": lambda draft: save_file({"a": torch.from_numpy(numbers)}, draft),
    "torch": lambda draft: torch.save({"a": torch.from_numpy(numbers)}, draft),
    "tokenizer": lambda draft: Tokenizer(models.WordLevel(words, unk_token="x")).save(str(draft)),
}
for name, write in writers.items():
    try:
        with replacing(Path("out") / name) as draft:
            write(draft)
    except Exception as error:
        print(*explain(error))
print(sorted(path.name for path in Path("out").iterdir()))
"""


def test_whatever_writes_a_full_disk_is_named_with_the_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITERS]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    *lines, left = ended.stdout.splitlines()
    assert (ended.returncode, left, len(lines)) == (0, "[]", 6), ended.stderr
    for line, name in zip(lines, ("text", "numpy", "parquet", "safetensors", "torch", "tokenizer"), strict=True):
        assert line.startswith(f"2 out/{name}: could not be written (")
        assert line.endswith("), expected room on the disk")
