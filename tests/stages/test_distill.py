"""distill from end to end: students that learnt and load again, a teacher asked once, equal bytes for equal seeds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification

from pipeline.files import InputError, content_hash, read_json
from pipeline.params import Params, check_params
from pipeline.params.task_types import OF_LABELS, OF_LAYERS
from pipeline.stages.distill import run
from pipeline.tokenization.folder import SPECIAL_TOKENS, assemble, save_tokenizer
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.batches import pad_rows
from pipeline.training.prediction import predict_logits

ROOT = Path(__file__).parents[2]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "plot", "scene", "music", "story"]
STUDENT_IDS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 11]  # what a smaller student keeps of it
SPLITS = {"train": (30, 0), "dev": (12, 1), "transfer": (20, 2)}


@pytest.fixture(autouse=True)
def project(tracked_folder: None) -> None:
    write_teacher(Path("models/teacher"))
    write_tokens(list(range(len(VOCABULARY))))


def write_teacher(folder: Path) -> None:
    """A teacher that knows: one layer of width 16 whose logits follow the words good and bad."""
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model, rows = BertForSequenceClassification(shape), token_rows(*SPLITS["train"])
    optimizer, labels = torch.optim.AdamW(model.parameters(), lr=1e-2), torch.from_numpy(rows.labels)
    input_ids, attention_mask = pad_rows(list(rows), pad_token_id=0)
    for _ in range(30):
        optimizer.zero_grad()
        model(input_ids=input_ids, attention_mask=attention_mask, labels=labels).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)


def token_rows(count: int, seed: int) -> TokenRows:
    """Rows that hold one telling word, good or bad, among others."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 2, size=count)
    others = [chance.integers(7, len(VOCABULARY), size=chance.integers(1, 6)).tolist() for _ in range(count)]
    rows = [[2, *words, 5 if label else 6, 3] for words, label in zip(others, labels, strict=True)]
    return TokenRows.from_rows(rows, labels, np.dtype(np.uint16))


def write_tokens(teacher_ids: list[int]) -> None:
    """Write the rows of both sides and the student's tokenizer, whose vocabulary is `teacher_ids` of the teacher's."""
    from tokenizers import models, pre_tokenizers

    for split, (count, seed) in SPLITS.items():
        rows = token_rows(count, seed)
        labels = np.full(count, -1) if split == "transfer" else rows.labels
        TokenRows.one_label_each(rows.ids, rows.offsets, labels).save(Path("tokens/teacher") / split)
        ids = [[teacher_ids.index(i) if i in teacher_ids else 1 for i in row.tolist()] for row in rows]
        TokenRows.from_rows(ids, labels, np.dtype(np.uint16)).save(Path("tokens/student") / split)
    model = models.WordPiece({VOCABULARY[i]: own for own, i in enumerate(teacher_ids)}, unk_token="[UNK]")
    tokenizer = assemble(model, SPECIAL_TOKENS, None, pre_tokenizers.Whitespace(), None)
    save_tokenizer(tokenizer, SPECIAL_TOKENS, 12, Path("models/student_tokenizer"))
    np.save("models/student_tokenizer/teacher_ids.npy", np.array(teacher_ids, dtype=np.int64))


def params(
    vocabulary_size: int | None = None,
    *,
    width: int = 8,
    temperature: float = 2.0,
    online: bool = False,
    **losses: float,
) -> Params:
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    values["runtime"] |= {"threads": 1, "precision": "float32"}
    task = values["tasks"]["sentiment"]
    task["student"] |= {"vocabulary_size": vocabulary_size, "embeddings": "teacher_svd"}
    task["student"]["architecture"] |= {
        "layers": 1, "hidden_size": width, "attention_heads": 2, "intermediate_size": 16, "dropout": 0.0,
    }  # fmt: skip
    none = dict.fromkeys(task["distill"]["losses"], 0.0)
    task["distill"] |= {"losses": none | losses, "temperature": temperature, "layer_map": [[0, 0], [1, 1]]}
    task["distill"]["online"] = online
    task["distill"] |= {"relation_map": [[1, 1]], "relation_heads": 4, "jensen_shannon_share": 0.5}
    task["distill"]["training"] |= {"epochs": 8, "batch_size": 10, "learning_rate": 2e-2, "evaluations": 4}
    return check_params(values, Path("params.yaml"))


def distill(section: Params, name: str = "student") -> Path:
    out, tokens = Path("models") / name, Path("tokens")
    run(
        section,
        task="sentiment",
        teacher=Path("models/teacher"),
        teacher_tokens=tokens / "teacher",
        student_tokens=tokens / "student",
        student_tokenizer=Path("models/student_tokenizer"),
        pretrained_student=Path("models/pretrained_student"),
        out=out,
        undistilled=Path(f"models/un{name}"),
        soft_labels=Path(f"soft/{name}"),
        history=Path(f"reports/{name}.json"),
    )
    return out


def accuracy(folder: Path) -> float:
    dev = TokenRows.load(Path("tokens/student/dev"))
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    logits = predict_logits(model, dev, batch_size=8, pad_token_id=0, dtype=torch.float32)
    return float(np.mean(logits.argmax(axis=1) == dev.labels))


def test_a_student_with_a_cut_vocabulary_learns_and_loads_again() -> None:
    write_tokens(STUDENT_IDS)
    out = distill(params(100, soft_labels=0.5, logits=1.0, hard_labels=0.5))
    history = read_json(Path("reports/student.json"))
    for model, folder in (("student", out), ("undistilled_student", Path("models/unstudent"))):
        assert sorted(file.name for file in folder.iterdir()) == [
            "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        ]  # fmt: skip
        dev = [record for record in history if record["model"] == model and record["split"] == "dev"]
        figure, sign = ("divergence", 1) if model == "student" else ("accuracy", -1)
        chosen = min(dev, key=lambda record, figure=figure, sign=sign: sign * record[figure])
        assert accuracy(folder) == chosen["accuracy"]
        assert max(record["step"] for record in history if record["model"] == model) <= 8 * 5
    assert accuracy(out) > 0.9
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert (len(tokenizer), tokenizer.model_max_length) == (len(STUDENT_IDS), 12)
    assert str(Path.cwd()) not in "".join(file.read_text() for file in out.glob("*.json"))

    teacher = AutoModelForSequenceClassification.from_pretrained("models/teacher")
    for split, (count, _) in SPLITS.items():
        found = np.load(f"soft/student/{split}.npy", allow_pickle=False)
        rows = token_rows(*SPLITS[split])
        assert np.mean(found.argmax(axis=1) == rows.labels) == 1.0
        assert (found.shape, found.dtype) == ((count, 2), np.float32)
        expected = predict_logits(teacher, rows, batch_size=8, pad_token_id=0, dtype=torch.float32)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_student_without_a_teacher_is_given_six_passes_to_begin_to_learn() -> None:
    write_tokens(STUDENT_IDS)
    distill(params(100, soft_labels=1.0))
    history = [record for record in read_json(Path("reports/student.json")) if record["model"] == "undistilled_student"]
    scores = {record["step"]: record["accuracy"] for record in history if record["split"] == "dev"}
    best, passes = max(scores, key=lambda step: (scores[step], -step)), 6 * SPLITS["train"][0] / 10
    assert max(scores) == min(best + passes, 8 * 5)


def test_the_same_seed_gives_the_same_bytes_and_asks_the_teacher_once() -> None:
    every = dict.fromkeys(OF_LABELS, 1.0) | dict.fromkeys(OF_LAYERS, 0.1)
    first = distill(params(**every), "first")
    (entry,) = Path(".stillhouse/teacher_cache").iterdir()
    written = entry.stat().st_mtime_ns
    second = distill(params(**every), "second")
    for one, two in ((first, second), (Path("models/unfirst"), Path("models/unsecond"))):
        assert content_hash(one) == content_hash(two)
    assert content_hash(Path("reports/first.json")) == content_hash(Path("reports/second.json"))
    assert [item.stat().st_mtime_ns for item in Path(".stillhouse/teacher_cache").iterdir()] == [written]
    assert accuracy(first) > 0.9


@pytest.mark.parametrize("vocabulary_size", [None, 100], ids=["all tokens", "fewer tokens"])
@pytest.mark.parametrize("layers", [0.0, 0.1], ids=["answers", "layers"])
def test_a_teacher_that_is_asked_again_makes_the_same_student_to_the_bit(
    vocabulary_size: int | None, layers: float
) -> None:
    if vocabulary_size:
        write_tokens(STUDENT_IDS)
    losses = dict.fromkeys(OF_LABELS, 1.0) | dict.fromkeys(OF_LAYERS, layers)
    cached = distill(params(vocabulary_size, **losses), "cached")
    kept = set(Path(".stillhouse/teacher_cache").iterdir())
    online = distill(params(vocabulary_size, online=True, **losses), "online")
    for one, two in (
        (cached, online),
        (Path("models/uncached"), Path("models/unonline")),
        (Path("soft/cached"), Path("soft/online")),
        (Path("reports/cached.json"), Path("reports/online.json")),
    ):
        assert content_hash(one) == content_hash(two)
    assert any("hidden_states_1.npy" in name for name in files_in(Path())) == bool(layers)
    for entry in set(Path(".stillhouse/teacher_cache").iterdir()) - kept:
        assert files_in(entry) == ["complete.json", *sorted(f"{split}/logits.npy" for split in SPLITS)]


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def cached_files() -> dict[Path, tuple[int, int]]:
    """Return which file and when written each of the teacher's cache is."""
    files = [file for file in Path(".stillhouse/teacher_cache").rglob("*") if file.is_file()]
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def test_another_student_with_another_seed_and_other_losses_of_the_same_layers_does_not_run_the_teacher() -> None:
    first = distill(params(soft_labels=1.0, hidden_states=0.1), "first")
    kept = cached_files()
    assert {file.name for file in kept} > {"logits.npy", "hidden_states_0.npy", "hidden_states_1.npy"}
    other = params(width=12, temperature=1.0, logits=0.5, reverse_kl=0.5, hidden_cosines=0.2)
    second = distill(other.model_copy(update={"runtime": other.runtime.model_copy(update={"seed": 18})}), "second")
    assert cached_files() == kept
    widths = [read_json(folder / "config.json")["hidden_size"] for folder in (first, second)]
    assert widths == [8, 12] and np.array_equal(np.load("soft/first/dev.npy"), np.load("soft/second/dev.npy"))
    distill(params(soft_labels=1.0, attentions=0.1), "third")
    added = cached_files().keys() - kept.keys()
    assert {file.name for file in added} > {"logits.npy", "queries_1.npy", "keys_1.npy"}


def test_a_student_of_fewer_tokens_learns_by_the_layers_of_the_rows_that_both_spell_alike(
    capfd: pytest.CaptureFixture[str],
) -> None:
    write_tokens(STUDENT_IDS)
    rows = {side: TokenRows.load(Path("tokens") / side / "train") for side in ("teacher", "student")}
    alike = [
        len(its) == len(own) and all(STUDENT_IDS[i] == j for i, j in zip(own, its, strict=True))
        for its, own in zip(rows["teacher"], rows["student"], strict=True)
    ]
    assert 0 < sum(alike) < len(alike)
    plain = distill(params(100, soft_labels=1.0), "plain")
    every = distill(params(100, soft_labels=1.0, **dict.fromkeys(OF_LAYERS, 0.1)), "every")
    said = f"student  layers are compared on {100 * sum(alike) / len(alike):.1f} % of the rows of train"
    assert said in capfd.readouterr().out
    assert accuracy(every) > 0.9 and content_hash(every) != content_hash(plain)


def test_several_teachers_are_the_mean_of_their_logits() -> None:
    plain, both, teacher = params(soft_labels=1.0), params(soft_labels=1.0), Path("models/teacher")
    distill(plain, "of_one")
    other = BertForSequenceClassification.from_pretrained(teacher)
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    other.save_pretrained(Path("models/other"))
    other.save_pretrained(teacher / "seed_18")
    distill(both, "of_two")
    entries = sorted(Path(".stillhouse/teacher_cache").iterdir())
    distill(both, "again")
    assert len(entries) == 2 and sorted(Path(".stillhouse/teacher_cache").iterdir()) == entries
    teacher.rename("models/one_of_two")
    Path("models/other").rename(teacher)
    distill(plain, "of_the_other")
    for split in SPLITS:
        said = {name: np.load(f"soft/{name}/{split}.npy") for name in ("of_one", "of_two", "of_the_other")}
        assert np.abs(said["of_one"] - said["of_the_other"]).max() > 0.1
        np.testing.assert_allclose(said["of_two"], (said["of_one"] + said["of_the_other"]) / 2, atol=1e-6)


def test_weights_of_rows_reach_the_student_and_its_twin() -> None:
    section, losses = params(soft_labels=1.0), {}
    rows = token_rows(*SPLITS["train"])
    for name, weights in (("alike", None), ("once", np.ones(len(rows))), ("weighted", np.linspace(0, 2, len(rows)))):
        given = None if weights is None else weights.astype(np.float32)
        replace(rows, weights=given).save(Path("tokens/student/train"))
        distill(section, name)
        records = [record for record in read_json(Path(f"reports/{name}.json")) if record["split"] == "train"]
        for model in ("student", "undistilled_student"):
            losses[name, model] = [record["loss"] for record in records if record["model"] == model]
    for model in ("student", "undistilled_student"):
        assert losses["once", model] == losses["alike", model]
        assert losses["weighted", model][:1] != losses["alike", model][:1]
    assert content_hash(Path("models/once")) == content_hash(Path("models/alike"))
    assert content_hash(Path("models/weighted")) != content_hash(Path("models/alike"))


def test_temperature_0_is_refused() -> None:
    with pytest.raises(InputError, match=r"tasks\.sentiment\.distill\.temperature: must be > 0, got 0"):
        params(temperature=0.0, soft_labels=1.0)


def test_a_student_wider_than_its_teacher_is_refused_before_any_training() -> None:
    with pytest.raises(InputError, match=r"student\.architecture\.hidden_size: must be <= 16, the teacher's, got 32"):
        distill(params(width=32, logits=1.0))
    assert not Path(".stillhouse").exists()
    assert not Path("models/student").exists()
