"""No pickle in anything published, cached or served, and nothing out of a model folder is ever executed."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pipeline.architectures import bert
from pipeline.files import read_json, write_json, write_text
from pipeline.tasks import TASKS
from pipeline.tokenization.folder import load_tokenizer
from tests.stages.tiny_project import build_project
from tests.trust.whole_project import ROOT

KEPT = ("mlruns", "models", "data", "reports", ".stillhouse", ".dvc/cache")
PROTOCOLS = {bytes([0x80, protocol]) for protocol in range(2, 6)}  # what a binary pickle begins with
PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".dill", ".skops"}


def pickled(folder: Path) -> Iterator[Path]:
    """Yield the files that are a pickle or an archive with one inside, whatever their name."""
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        with open(path, "rb") as file:
            head = file.read(2)
        in_archive = zipfile.is_zipfile(path) and any(
            Path(name).suffix in PICKLES for name in zipfile.ZipFile(path).namelist()
        )
        if (
            path.suffix in PICKLES
            or in_archive
            or (head[:1] == b"\x80" and head[1:] in map(bytes, ([2], [3], [4], [5])))
        ):
            yield path
        elif path.suffix == ".npy":
            np.load(path, mmap_mode="r", allow_pickle=False)  # raises where the array holds objects


def test_the_scan_finds_pickles_under_any_name(tmp_path: Path) -> None:
    import pickle

    import torch

    (tmp_path / "harmless.json").write_bytes(pickle.dumps({"a": 1}))
    torch.save({"a": 1}, tmp_path / "weights")
    (tmp_path / "text.txt").write_text("text")
    assert {path.name for path in pickled(tmp_path)} == {"harmless.json", "weights"}
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        list(pickled(tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_full_run_leaves_no_pickle(whole_run: Path) -> None:
    """The run itself was made with MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false."""
    scanned = [path for name in KEPT for path in (whole_run / name).rglob("*") if path.is_file()]
    assert (
        any(path.name == "python_model.py" or path.suffix == ".safetensors" for path in scanned) and len(scanned) > 50
    )
    assert [path for name in KEPT for path in pickled(whole_run / name)] == []


def test_code_in_a_model_folder_is_not_executed(tmp_path: Path) -> None:
    """A configuration can name a file of the folder as the model's code; it is left alone."""
    build_project(tmp_path)
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w').close()\nclass Model: ...\n"
    for name, load in {
        "student": lambda folder: AutoModelForSequenceClassification.from_pretrained(folder),
        "pretrained": lambda folder: bert.load(folder, head="masked_lm"),
    }.items():
        folder = tmp_path / name
        config = read_json(folder / "config.json")
        classes = ("AutoConfig", "AutoModel", "AutoModelForMaskedLM", "AutoModelForSequenceClassification")
        write_json(folder / "config.json", config | {"auto_map": dict.fromkeys(classes, "evil.Model")})
        write_text(folder / "evil.py", code)
        load(folder)
    TASKS["text_classification"]()(["a", "b"]).from_pretrained(tmp_path / "pretrained", dropout=0.0, seed=1)
    settings = read_json(tmp_path / "student/tokenizer_config.json")
    settings |= {
        "auto_map": {"AutoTokenizer": ["evil.Model", "evil.Model"]},
        "unk_token": "[PAD]",
        "mask_token": "[PAD]",
    }
    write_json(tmp_path / "student/tokenizer_config.json", settings)
    load_tokenizer(tmp_path / "student")
    AutoTokenizer.from_pretrained(tmp_path / "student")  # as the served model does
    assert not ran.exists()


def test_trust_remote_code_is_nowhere_turned_on() -> None:
    sources = [path for folder in ("pipeline", "flows") for path in (ROOT / folder).rglob("*.py")]
    turned_on = re.compile(r"trust_remote_code\W+(?!False)")
    assert not [path for path in sources if turned_on.search(path.read_text(encoding="utf-8"))]
