"""Training gives the same bytes in every process, and a folder that transformers reads as `tokenizers` does."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from pipeline.files import InputError
from pipeline.tokenization.folder import SPECIAL_TOKENS, load_tokenizer, read_max_length, save_tokenizer, special_ids
from pipeline.tokenization.training import train_bpe, train_wordpiece

ROOT = Path(__file__).parents[2]
TEXTS = [
    "The quick brown fox jumps over the lazy dog; the dog sleeps.",
    "A newer, lower and wider road: the lowest and the newest of all roads!",
    "Café owners were wondering whether wanderers wander.",
    "电影很好看，我很喜欢。",
] * 3
TRAINERS = {"wordpiece": (train_wordpiece, 150), "bpe": (train_bpe, 300)}


def train(kind: str, lowercase: bool = True) -> Tokenizer:
    function, size = TRAINERS[kind]
    return function(lambda: [TEXTS[:5], TEXTS[5:]], size, lowercase, 1)


@pytest.mark.parametrize("kind", TRAINERS)
def test_three_fresh_processes_write_the_same_bytes(kind: str, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.unit.test_tokenization_training import *;"
        "save_tokenizer(train(sys.argv[1]), SPECIAL_TOKENS, 64, Path(sys.argv[2]))"
    )
    hashes = set()
    for run in range(3):
        folder = tmp_path / str(run)
        environment = os.environ | {"PYTHONHASHSEED": str(run), "RAYON_NUM_THREADS": str(run + 1)}
        subprocess.run([sys.executable, "-c", script, kind, folder], cwd=ROOT, env=environment, check=True)
        hashes.add(hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest())
    assert len(hashes) == 1


@pytest.mark.parametrize("kind", TRAINERS)
def test_auto_tokenizer_reads_the_folder_alike(kind: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer  # here, so that the fresh processes above start fast

    own = train(kind)
    save_tokenizer(own, SPECIAL_TOKENS, 64, tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert theirs.model_max_length == read_max_length(tmp_path) == 64
    loaded, special_tokens = load_tokenizer(tmp_path)
    assert special_ids(loaded, special_tokens) == {
        f"{name}_id": getattr(theirs, f"{name}_id") for name in SPECIAL_TOKENS
    }
    for text in TEXTS[:4]:
        assert theirs(text)["input_ids"] == own.encode(text).ids == loaded.encode(text).ids
    pair = theirs("the fox", "a road")
    assert pair["token_type_ids"] == own.encode("the fox", "a road").type_ids
    assert str(tmp_path) not in "".join(file.read_text() for file in tmp_path.iterdir())


@pytest.mark.parametrize("kind", TRAINERS)
def test_special_tokens_come_first_and_frame_a_row(kind: str) -> None:
    tokenizer = train(kind)
    assert [tokenizer.id_to_token(i) for i in range(5)] == list(SPECIAL_TOKENS.values())
    tokens = tokenizer.encode("the dog").tokens
    assert (tokens[0], tokens[-1]) == ("[CLS]", "[SEP]")
    assert tokenizer.encode("[MASK]", add_special_tokens=False).tokens == ["[MASK]"]


def test_wordpiece_learns_words_and_treats_characters_as_pieces() -> None:
    tokenizer = train("wordpiece")
    assert tokenizer.get_vocab_size() == 150
    assert tokenizer.encode("The dog", add_special_tokens=False).tokens == ["the", "dog"]
    # a character that is a special token would be split off wherever it stands
    assert tokenizer.encode("wox", add_special_tokens=False).tokens[0].startswith("wo")
    assert tokenizer.decode(tokenizer.encode("dog").ids) == "dog"
    assert tokenizer.encode("★", add_special_tokens=False).tokens == ["[UNK]"]


def test_bpe_spells_what_it_never_saw_and_gives_it_back() -> None:
    tokenizer = train("bpe", lowercase=False)
    for text in ("Zürich ★ 漢字\n two", " leading"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize(
    ("kind", "size", "line"),
    [
        ("wordpiece", 5000, r"^tokenizer\.vocabulary_size: 5000, expected at most \d+, which is all the corpus gives"),
        ("bpe", 5000, r"^tokenizer\.vocabulary_size: 5000, expected at most \d+, which is all the corpus gives"),
        ("bpe", 200, r"^tokenizer\.vocabulary_size: 200, expected at least 261 for kind bpe"),
    ],
)
def test_a_vocabulary_the_corpus_cannot_give_is_refused(kind: str, size: int, line: str) -> None:
    with pytest.raises(InputError, match=line):
        TRAINERS[kind][0](lambda: [TEXTS], size, True, 1)


def test_broken_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tokenizer\.json: no such file, expected a fast tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(InputError, match=r"tokenizer\.json: not a readable tokenizer") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)
    train("bpe").save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="the tokenizer names no pad_token, expected pad_token, unk_token"):
        load_tokenizer(tmp_path)
