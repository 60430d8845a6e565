"""train_tokenizer, tokenize_corpus and tokenize on a handful of documents: what they write can be read back."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML
from tokenizers import Tokenizer

from pipeline.files import InputError, content_hash, read_json, sha256_of_file
from pipeline.params import Params, check_params
from pipeline.stages import tokenize, tokenize_corpus, train_tokenizer
from pipeline.tokenization.folder import load_tokenizer, read_max_length
from pipeline.tokenization.ragged import UNLABELLED, TokenRows, open_array

ROOT = Path(__file__).parents[2]
SYLLABLES = ["ba", "co", "di", "fu", "ge", "hom", "lin", "mar", "nes", "tor"]
CORPUS, ROWS, TOKENIZER = Path("validated/corpus"), Path("validated/rows"), Path("models/tokenizer")
LABELS = ["negative", "positive"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chance = random.Random(0)
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 3))) for _ in range(120)]

    def document(sentences: int) -> str:
        return " ".join(" ".join(chance.choices(words, k=7)).capitalize() + "." for _ in range(sentences))

    for split, count in (("train", 40), ("dev", 8), ("test", 0)):
        write_table(CORPUS / f"{split}.parquet", [document(5) for _ in range(count)], None)
        write_table(ROWS / f"{split}.parquet", [document(1) for _ in range(count or 10)], LABELS)


def write_table(path: Path, texts: list[str], labels: list[str] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = [f"{i:016x}" for i in range(len(texts))]
    names = [labels[i % 2] if labels else None for i in range(len(texts))]
    columns = {"id": ids, "text": texts, "label": names, "source": ["s"] * len(texts)}
    pq.write_table(pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()}), path)


def params(**changes: Any) -> Params:
    """Return params.yaml with random weights and a small WordPiece; changes are by dotted path, dots as `__`."""
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    small = {"family": "bert", "layers": 2, "hidden_size": 192, "attention_heads": 3, "intermediate_size": 64}
    values["init_from"] = {"kind": "random", "path": "constraints.txt"}
    values["pretrain"]["architecture"] = small | {"max_length": 64, "dropout": 0.0}
    values["pretrain"] |= {"embeddings": "random", "max_tokens": 1000}
    values["tokenizer"] = {"kind": "wordpiece", "vocabulary_size": 140, "lowercase": True, "min_frequency": 1}
    values["corpus"]["sequence_length"] = 32
    task = values["tasks"]["sentiment"]
    task["max_length"] = 16
    task["transfer"] = {"sentences": 60, "min_words": 5, "max_words": 40, "selection": "importance", "recombined": 0}
    task["student"]["vocabulary_size"] = 120
    for path, value in changes.items():
        *parents, last = path.split("__")
        section = values
        for parent in parents:
            section = section[parent]
        section[last] = value
    return check_params(values, Path("params.yaml"))


def run_train_tokenizer(settings: Params, init_from: str = "constraints.txt") -> None:
    train_tokenizer.run(settings, corpus=CORPUS, init_from=Path(init_from), out=TOKENIZER)


def run_tokenize_corpus(settings: Params) -> Path:
    out = Path("tokens/corpus")
    tokenize_corpus.run(settings, corpus=CORPUS, tokenizer=TOKENIZER, out=out)
    return out


def run_tokenize(settings: Params) -> Path:
    out = Path("tokens/sentiment")
    tokenize.run(
        settings,
        task="sentiment",
        rows=ROWS,
        corpus=CORPUS,
        tokenizer=TOKENIZER,
        out=out,
        transfer=Path("transfer/sentiment.parquet"),
        student_tokenizer=Path("models/student_tokenizer"),
    )
    return out


def texts(path: Path) -> list[str]:
    return [str(text) for text in pq.read_table(path)["text"].to_pylist()]


@pytest.mark.parametrize(("kind", "size"), [("wordpiece", 140), ("bpe", 300)])
def test_a_trained_tokenizer_is_the_same_at_every_run(kind: str, size: int) -> None:
    settings = params(
        tokenizer__kind=kind, tokenizer__vocabulary_size=size, tasks__sentiment__student__vocabulary_size=None
    )
    hashes = set()
    for _ in range(2):
        run_train_tokenizer(settings)
        hashes.add(content_hash(TOKENIZER))
    tokenizer, _ = load_tokenizer(TOKENIZER)
    assert len(hashes) == 1
    assert tokenizer.get_vocab_size() == size
    assert read_max_length(TOKENIZER) == 64


def adopted(folder: Path) -> Params:
    """Make a model folder of the trained tokenizer and return the parameters that adopt it."""
    run_train_tokenizer(params())
    shutil.copytree(TOKENIZER, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(length=20)
    tokenizer.enable_truncation(20)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text('{"max_position_embeddings": 48}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return adopting(folder)


def adopting(folder: Path) -> Params:
    nothing = {"kind": "adopt", "vocabulary_size": None, "lowercase": None, "min_frequency": None}
    source = {"kind": "folder", "path": str(folder)}
    return params(init_from=source, tokenizer=nothing, pretrain__architecture=None, pretrain__embeddings=None)


def test_an_adopted_tokenizer_loses_its_padding_and_keeps_its_pieces() -> None:
    folder = Path("downloaded")
    settings = adopted(folder)
    trained, _ = load_tokenizer(TOKENIZER)
    run_train_tokenizer(settings, init_from=str(folder))
    tokenizer, _ = load_tokenizer(TOKENIZER)
    assert tokenizer.get_vocab() == trained.get_vocab()
    text = texts(CORPUS / "train.parquet")[0]
    assert tokenizer.encode(text).ids == trained.encode(text).ids
    assert json.loads((TOKENIZER / "tokenizer.json").read_text())["padding"] is None
    assert read_max_length(TOKENIZER) == 48
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"^init_from: downloaded holds no tokenizer, expected tokenizer\.json"):
        run_train_tokenizer(settings, init_from=str(folder))


def test_a_vocabulary_file_alone_is_converted() -> None:
    folder = Path("old")
    settings = adopted(folder)
    trained, _ = load_tokenizer(TOKENIZER)
    vocabulary = trained.get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=lambda piece: vocabulary[piece])))
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    run_train_tokenizer(settings, init_from=str(folder))
    converted, _ = load_tokenizer(TOKENIZER)
    text = texts(CORPUS / "train.parquet")[0]
    assert converted.encode(text).ids == trained.encode(text).ids


def test_weights_that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match=r"^init_from: nowhere holds no config\.json, expected a model folder"):
        run_train_tokenizer(adopting(Path("nowhere")), init_from="nowhere")
    package = {"kind": "package", "path": "constraints.txt", "package": "no-such-package", "folder": "model"}
    settings = adopting(Path("nowhere")).model_dump() | {"init_from": package | {"sha256": "0" * 64}}
    with pytest.raises(InputError, match=r"^init_from\.package: no-such-package is not installed"):
        run_train_tokenizer(check_params(settings, Path("params.yaml")))
    settings["init_from"] |= {"package": "pytest", "folder": "_pytest"}
    with pytest.raises(InputError, match=r"^init_from\.folder: no _pytest/model\.safetensors in pytest"):
        run_train_tokenizer(check_params(settings, Path("params.yaml")))


def test_the_corpus_is_packed_and_nothing_but_the_tail_is_missing() -> None:
    settings = params()
    run_train_tokenizer(settings)
    out = run_tokenize_corpus(settings)
    first = content_hash(out)
    assert content_hash(run_tokenize_corpus(settings)) == first
    tokenizer, _ = load_tokenizer(TOKENIZER)
    meta = read_json(out / "meta.json")
    cls, sep, pad = (meta[f"{name}_token_id"] for name in ("cls", "sep", "pad"))
    for split, prefix in (("train", ""), ("dev", "dev_")):
        sequences = open_array(out / f"{prefix}input_ids.npy")
        assert isinstance(sequences, np.memmap) and sequences.dtype == np.uint16
        assert sequences.shape == (meta[split]["sequences"], 32)
        assert (sequences[:, 0] == cls).all() and (sequences[:, -1] == sep).all() and not (sequences == pad).any()
        documents = texts(CORPUS / f"{split}.parquet")
        stream = [i for text in documents for i in [*tokenizer.encode(text, add_special_tokens=False).ids, sep]]
        body = sequences[:, 1:-1].ravel().tolist()
        assert body == stream[: len(body)] and len(stream) - len(body) < 30
        assert meta[split]["tokens"] == len(stream) - len(documents)


def test_pairs_come_with_types_and_labels() -> None:
    settings = params(pretrain__objective="masked_lm_next_sentence")
    run_train_tokenizer(settings)
    out = run_tokenize_corpus(settings)
    for prefix in ("", "dev_"):
        ids, types, labels = (
            open_array(out / f"{prefix}{name}.npy") for name in ("input_ids", "token_type_ids", "next_sentence_labels")
        )
        assert ids.shape == types.shape == (len(labels), 32)
        assert labels.sum() == len(labels) // 2


def test_a_corpus_too_small_for_one_sequence_is_refused() -> None:
    settings = params()
    run_train_tokenizer(settings)
    write_table(CORPUS / "dev.parquet", ["Bafu."], None)
    with pytest.raises(InputError, match=r"dev\.parquet: \d+ tokens, expected enough for one sequence of corpus\.seq"):
        run_tokenize_corpus(settings)
    with pytest.raises(InputError, match=r"dev\.parquet: fewer than two documents have 29 tokens"):
        run_tokenize_corpus(params(pretrain__objective="masked_lm_next_sentence"))
    with pytest.raises(InputError, match=r"^corpus\.sequence_length: 65, expected at most 64"):
        run_tokenize_corpus(params(corpus__sequence_length=65))
    assert not Path("tokens/corpus").exists()


def test_rows_and_transfer_sentences_for_teacher_and_student() -> None:
    settings = params()
    run_train_tokenizer(settings)
    out = run_tokenize(settings)
    teacher_tokenizer, _ = load_tokenizer(TOKENIZER)
    student_tokenizer, _ = load_tokenizer(Path("models/student_tokenizer"))
    sentences = pq.read_table("transfer/sentiment.parquet")
    assert sentences.column_names == ["id", "text"]
    assert sentences["id"].to_pylist() == sorted(sentences["id"].to_pylist())
    expected = {split: texts(ROWS / f"{split}.parquet") for split in ("train", "dev", "test")}
    expected["transfer"] = texts(Path("transfer/sentiment.parquet"))
    assert len(expected["transfer"]) == 60
    for name, tokenizer in (("teacher", teacher_tokenizer), ("student", student_tokenizer)):
        tokenizer.enable_truncation(16)
        for split, wanted in expected.items():
            rows = TokenRows.load(out / name / split)
            assert [row.tolist() for row in rows] == [encoding.ids for encoding in tokenizer.encode_batch(wanted)]
            labels = [UNLABELLED] * 60 if split == "transfer" else [i % 2 for i in range(len(wanted))]
            assert rows.labels.tolist() == labels


def test_the_students_vocabulary_maps_to_the_teachers() -> None:
    settings = params()
    run_train_tokenizer(settings)
    run_tokenize(settings)
    folder = Path("models/student_tokenizer")
    first = content_hash(folder)
    teacher, special_tokens = load_tokenizer(TOKENIZER)
    student, _ = load_tokenizer(folder)
    teacher_ids = np.load(folder / "teacher_ids.npy", allow_pickle=False)
    assert len(teacher_ids) == student.get_vocab_size() == 120
    assert all(student.id_to_token(i) == teacher.id_to_token(int(j)) for i, j in enumerate(teacher_ids))
    unknown = student.token_to_id(special_tokens["unk_token"])
    assert not any((row == unknown).any() for row in TokenRows.load(Path("tokens/sentiment/student/test")))
    run_tokenize(settings)
    assert content_hash(folder) == first


def test_without_a_size_the_student_keeps_the_teachers_tokenizer() -> None:
    settings = params(tasks__sentiment__student__vocabulary_size=None)
    run_train_tokenizer(settings)
    out = run_tokenize(settings)
    assert content_hash(out / "teacher") == content_hash(out / "student")
    assert sha256_of_file(TOKENIZER / "tokenizer.json") == sha256_of_file(
        Path("models/student_tokenizer/tokenizer.json")
    )
    assert np.load("models/student_tokenizer/teacher_ids.npy").tolist() == list(range(140))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"student__vocabulary_size": 141},
            r"^tasks\.sentiment\.student\.vocabulary_size: 141, expected \d+ .* to 140",
        ),
        (
            {"transfer": {"sentences": 9, "min_words": 50, "max_words": 60, "selection": "uniform", "recombined": 0}},
            r"^tasks\.sentiment\.transfer: .* has no sen",
        ),
        (
            {"max_length": 65, "student__architecture__max_length": 65},
            r"^tasks\.sentiment\.max_length: 65, .* at most 64",
        ),
    ],
)
def test_what_the_text_cannot_give_is_refused(changes: dict[str, Any], line: str) -> None:
    run_train_tokenizer(params())
    settings = params(**{f"tasks__sentiment__{path}": value for path, value in changes.items()})
    with pytest.raises(InputError, match=line):
        run_tokenize(settings)


def test_a_label_outside_the_task_is_named() -> None:
    run_train_tokenizer(params())
    write_table(ROWS / "dev.parquet", ["Bafu.", "Codi."], ["negative", "mixed"])
    with pytest.raises(InputError, match=r"dev\.parquet: row 0{15}1: label 'mixed', expected one of \['negative', "):
        run_tokenize(params())


def test_no_stage_loads_torch() -> None:
    script = (
        "import sys, pipeline.stages.train_tokenizer, pipeline.stages.tokenize_corpus, pipeline.stages.tokenize;"
        "assert not {'torch', 'transformers', 'datasets', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
