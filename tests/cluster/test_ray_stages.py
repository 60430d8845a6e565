"""Each stage leaves the same bytes on Ray as in one process, from parts that are as small as can be."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from pipeline.distillation import teacher_cache
from pipeline.distillation.intermediate import State
from pipeline.distillation.teacher_cache import Likeliest, cached_outputs
from pipeline.engine import Engine
from pipeline.files import content_hash, read_json
from pipeline.params import Params, check_params
from pipeline.scoring import batch, scorer
from pipeline.sources import characters
from pipeline.stages import ingest, validate
from pipeline.tokenization import table
from pipeline.tokenization.ragged import TokenRows
from pipeline.validation import reading
from tests.registered_students import TEXTS, register_students
from tests.stages.tokenization_project import build_project, params, run_tokenize_corpus, run_train_tokenizer

WORDS = ["stone", "river", "lantern", "copper", "meadow", "violin", "harbour", "winter", "pepper", "castle", "marble"]
ROWS = Path("data/raw/rows.csv")

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(autouse=True)
def in_small_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter an empty folder; a part of a dataset is a few rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(table, "BATCH_ROWS", 3)
    monkeypatch.setattr(characters, "BATCH_CHARACTERS", 1500)
    monkeypatch.setattr(reading, "BATCH_ROWS", 5)
    monkeypatch.setattr(reading, "PART_ROWS", 60)


def on_both(run: Callable[[Params], Path], settings: Params) -> tuple[str, str]:
    """Return the hash of what `run` leaves in one process, and that of what it leaves on Ray."""
    local, ray = (content_hash(run(settings.model_copy(update={"engine": engine}))) for engine in ("local", "ray"))
    return local, ray


def test_tokenize_corpus() -> None:
    build_project()
    settings = params()
    run_train_tokenizer(settings)
    local, ray = on_both(run_tokenize_corpus, settings)
    assert local == ray
    assert read_json(Path("tokens/corpus/meta.json"))["train"]["documents"] == 40


def reviews() -> Params:
    """Write 200 rows, every tenth a near-duplicate of the one before it; return parameters that read them."""
    chance = random.Random(0)
    texts = [chance.choices(WORDS, k=30) for _ in range(200)]
    for row in range(10, 200, 10):
        texts[row] = [*texts[row - 1][:-1], "other"]
    ROWS.parent.mkdir(parents=True)
    lines = [f"{' '.join(words)},{row % 2},site\n" for row, words in enumerate(texts)]
    ROWS.write_text("text,label,source\n" + "".join(lines), encoding="utf-8")
    values = params().model_dump()
    source = {"kind": "file", "format": "csv", "header": None, "files": None, "origin": None}
    section = values["datasets"]["rotten_tomatoes"]
    section |= {"path": str(ROWS), "source": source, "only_sources": None, "split": {"dev": 0.2, "test": 0.3}}
    section["validation"] |= {"max_quarantined_share": 0.5, "max_label_noise": 1.0, "max_drift": 1.0}
    return check_params(values, Path("params.yaml"))


def run_ingest(settings: Params) -> Path:
    held_out = Path("data/held_out")
    held_out.mkdir(exist_ok=True)
    (held_out / "none.jsonl").touch()
    out = Path("ingested/rows")
    ingest.run(
        settings,
        dataset="rotten_tomatoes",
        path=ROWS,
        held_out=held_out / "none.jsonl",
        out=out,
        held_out_out=held_out / "rows.jsonl",
    )
    return out


def run_validate(settings: Params) -> Path:
    found = Path("found")
    validate.run(
        settings,
        dataset="rotten_tomatoes",
        rows=Path("ingested/rows"),
        held_out=Path("data/held_out/rows.jsonl"),
        out=found / "validated",
        quarantine=found / "quarantined.parquet",
        summary=found / "summary.json",
        page=found / "page.html",
    )
    return found


def test_ingest_and_validate() -> None:
    settings = reviews()
    local, ray = on_both(run_ingest, settings)
    assert local == ray
    assert read_json(Path("ingested/rows/report.json"))["removed"]
    local, ray = on_both(run_validate, settings)
    assert local == ray


def test_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    register_students(tmp_path)
    monkeypatch.setattr(scorer, "SHARD_ROWS", 2)
    rows = Path("rows.jsonl")
    texts = [text for text in TEXTS for _ in range(3)] + [""]
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")

    def run(engine: Engine) -> tuple[bytes, bytes]:
        out = Path(f"{engine}.jsonl")
        scored = batch.score(scorer.Scorer("sentiment", 1, engine), rows, out)
        assert (scored.tally.rows, scored.tally.set_aside) == (len(texts) - 1, 1)
        return out.read_bytes(), scored.set_aside.read_bytes()

    assert run("local") == run("ray")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_teachers_cache(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    """Of a model that is wide enough for sums whose order depends on threads."""
    monkeypatch.setattr(teacher_cache, "BATCH_SIZE", 8)
    chance = np.random.default_rng(0)
    rows = [chance.integers(1, 30, size=chance.integers(2, 60)).tolist() for _ in range(60)]
    splits = {"train": TokenRows.from_rows(rows, [0] * 60, np.dtype(np.uint16))}
    shape = BertConfig(
        vocab_size=30, hidden_size=256, num_hidden_layers=2, num_attention_heads=4, intermediate_size=512,
        max_position_embeddings=64, num_labels=30, attn_implementation="sdpa",
    )  # fmt: skip

    def load_teacher() -> BertForSequenceClassification:
        torch.manual_seed(0)
        return BertForSequenceClassification(shape)

    def run(engine: Engine, likeliest: Likeliest | None) -> str:
        inputs, states = {"engine": engine}, [State("hidden_states", 2), State("queries", 1)]
        folder = Path(f"{engine}{likeliest is None}")
        cached_outputs(
            splits, load_teacher, folder=folder, inputs=inputs, states=states, dtype=dtype, likeliest=likeliest,
            engine=engine,
        )  # fmt: skip
        (entry,) = (path for path in folder.iterdir() if path.is_dir())
        return content_hash(entry / "train")

    for likeliest in (None, Likeliest(3, 2.0)):
        assert run("local", likeliest) == run("ray", likeliest)
