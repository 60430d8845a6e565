"""Point 11: whatever stands in a data file or in a tokenizer folder ends well or in one line.

The quick tests try some hundred inputs of each kind, the slow ones seventeen thousand in all, with those of
test_11_parameters.py and test_11_served_model.py.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from pipeline.files import InputError
from pipeline.stages import ingest
from pipeline.tokenization.adoption import adopt_tokenizer
from pipeline.tokenization.folder import SPECIAL_TOKENS, load_tokenizer, read_max_length, save_tokenizer, special_ids
from pipeline.tokenization.training import train_bpe, train_wordpiece
from tests.trust.fuzzing import fuzz, mutated, one_line, with_another_value
from tests.trust.hostile_files import FORMATS, ORIGINALS, PIECES, ROWS, dataset_of, files

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("none.jsonl").write_text("\n")
    return tmp_path


def put(path: Path, data: bytes) -> None:
    """Write a file, of two aligned ones the first."""
    if path.suffix == ".aligned":
        path.mkdir(exist_ok=True)
        (path / "second").write_bytes(ORIGINALS["aligned"][0])
        path /= "first"
    path.write_bytes(data)


def ingesting(file_format: str) -> Callable[[bytes], None]:
    """Return what tries a file's bytes: the whole stage, which ends well or says in one line why not."""
    params, path = dataset_of(file_format), Path(f"rows.{file_format}")

    def attempt(data: bytes) -> None:
        put(path, data)
        paths = {"path": path, "held_out": Path("none.jsonl"), "out": Path("out"), "held_out_out": Path("list.jsonl")}
        try:
            ingest.run(params, dataset="rows", **paths)
        except InputError as error:
            assert one_line(error).startswith(f"rows.{file_format}")

    return attempt


@pytest.mark.parametrize("file_format", FORMATS)
def test_any_file_is_read_or_refused_in_one_line(project: Path, file_format: str) -> None:
    fuzz(files(file_format), ingesting(file_format), 120)


@pytest.mark.slow
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_thousand_files_of_each_format_are_read_or_refused_in_one_line(project: Path, file_format: str) -> None:
    fuzz(files(file_format), ingesting(file_format), 1000)


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_files_that_are_mutated_are_valid(project: Path, file_format: str) -> None:
    for data in ORIGINALS[file_format]:
        put(Path(f"rows.{file_format}"), data)
        paths = {"held_out": Path("none.jsonl"), "out": Path("out"), "held_out_out": Path("list.jsonl")}
        ingest.run(dataset_of(file_format), dataset="rows", path=Path(f"rows.{file_format}"), **paths)
        assert json.loads(Path("out/report.json").read_text())["rows_read"] == len(ROWS)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """The files of two tokenizer folders, beside a model's config.json."""
    texts = (ROOT / "LICENSE").read_text(encoding="utf-8").split("\n")  # a text that never changes
    folders = []
    for train, size in ((train_wordpiece, 300), (train_bpe, 400)):
        folder = tmp_path_factory.mktemp("tokenizer")
        save_tokenizer(train(lambda: iter([texts]), size, True, 1), SPECIAL_TOKENS, 64, folder)
        (folder / "config.json").write_text('{"max_position_embeddings": 64}')
        folders.append({path.name: path.read_bytes() for path in folder.iterdir()})
    return folders


@st.composite
def broken_folder(draw: st.DrawFn, folders: list[dict[str, bytes]]) -> dict[str, bytes]:
    folder = dict(draw(st.sampled_from(folders)))
    name = draw(st.sampled_from(sorted(folder)))
    change = draw(st.sampled_from(["value", "value", "bytes", "missing"]))
    if change == "missing":
        del folder[name]
    elif change == "value":
        folder[name] = draw(with_another_value(folder[name]))
    else:
        folder[name] = draw(mutated([folder[name]], PIECES))
    return folder


def adopting(folder: dict[str, bytes]) -> None:
    target = Path("tokenizer")
    target.mkdir(exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (target / name).unlink(missing_ok=True)
    for name, data in folder.items():
        (target / name).write_bytes(data)
    try:
        tokenizer, special_tokens = load_tokenizer(target)
        assert len(special_ids(tokenizer, special_tokens)) == 5
        assert tokenizer.encode("a row of words").ids
        assert read_max_length(target) > 2
    except InputError as error:
        one_line(error)
    try:
        adopt_tokenizer(target)
    except InputError as error:
        assert "tokenizer" in one_line(error)


def test_any_tokenizer_folder_is_read_or_refused(project: Path, tokenizers: list[dict[str, bytes]]) -> None:
    fuzz(broken_folder(tokenizers), adopting, 300)


@pytest.mark.slow
def test_a_thousand_tokenizer_folders_are_read_or_refused(project: Path, tokenizers: list[dict[str, bytes]]) -> None:
    fuzz(broken_folder(tokenizers), adopting, 1000)


def test_code_that_a_folder_brings_along_is_not_run(project: Path) -> None:
    folder = Path("tokenizer")
    folder.mkdir()
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    (folder / "evil.py").write_text("open('ran', 'w')\nclass Evil: pass\n")
    own = {"AutoTokenizer": ["evil.Evil", None]}
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": own, "model_max_length": 64}))
    (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoConfig": "evil.Evil"}, "model_type": "evil"}))
    with pytest.raises(InputError, match="not a readable tokenizer"):
        adopt_tokenizer(folder)
    assert not Path("ran").exists()
