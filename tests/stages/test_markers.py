"""Markers in texts: a token each, in every tokenizer on the way; weights that did not know them learn them anew."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertForMaskedLM

from pipeline.files import InputError, content_hash
from pipeline.params import Params
from pipeline.stages import pretrain
from pipeline.tokenization.folder import SPECIAL_TOKENS, add_markers, load_tokenizer
from pipeline.tokenization.ragged import TokenRows
from pipeline.tokenization.vocabulary import cut_vocabulary
from tests.stages.tokenization_project import (
    LABELS,
    ROWS,
    TOKENIZER,
    params,
    run_tokenize,
    run_tokenize_corpus,
    run_train_tokenizer,
    texts,
    write_table,
)

pytestmark = pytest.mark.usefixtures("tokenization_project")
MARKERS = ["[E1]", "[/E1]", "[E2]", "[/E2]"]
NO_TRANSFER = {"tasks__sentiment__transfer__sentences": 0, "datasets__rotten_tomatoes__markers": MARKERS}
WORDS = "bert.embeddings.word_embeddings.weight"


def marked(**changes: Any) -> Params:
    return params(tokenizer__markers=MARKERS, **changes)


def tokens_of(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.id_to_token(id_) for id_ in tokenizer.encode(text).ids]  # .tokens have the space before a marker


@pytest.mark.parametrize(("kind", "size"), [("wordpiece", 140), ("bpe", 300)])
def test_each_marker_is_one_token_beyond_the_vocabulary_whatever_stands_beside_it(kind: str, size: int) -> None:
    sizes = {"tokenizer__kind": kind, "tokenizer__vocabulary_size": size}
    sizes["tasks__sentiment__student__vocabulary_size"] = None
    run_train_tokenizer(params(**sizes))
    plain, _ = load_tokenizer(TOKENIZER)
    run_train_tokenizer(marked(**sizes))
    tokenizer, _ = load_tokenizer(TOKENIZER)
    assert [tokenizer.token_to_id(marker) for marker in MARKERS] == [size, size + 1, size + 2, size + 3]
    text = "[E1] Badi [/E1] cogefu.[E2]marba[/E2]"
    theirs = AutoTokenizer.from_pretrained(TOKENIZER)
    for found in (tokens_of(tokenizer, text), theirs.convert_ids_to_tokens(theirs(text)["input_ids"])):
        assert [token for token in found if token in MARKERS] == MARKERS
        assert found[1] == "[E1]" and "[UNK]" not in found
    assert tokens_of(tokenizer, "Badi cogefu") == tokens_of(plain, "Badi cogefu")
    between = tokens_of(tokenizer, "co [E1] Badi [/E1] ge")
    assert [token for token in between if token not in MARKERS] == tokens_of(plain, "co Badi ge")


def test_a_marker_of_the_vocabulary_keeps_its_id_and_one_that_frames_rows_is_refused() -> None:
    run_train_tokenizer(params())
    tokenizer, special_tokens = load_tokenizer(TOKENIZER)
    before = tokenizer.get_vocab()
    piece = next(token for token in before if token.isalpha() and len(token) > 2)
    add_markers(tokenizer, special_tokens, [piece])
    assert tokenizer.get_vocab() == before
    with pytest.raises(InputError, match=r"^tokenizer\.markers: \[SEP\] is a special token of the tokenizer"):
        run_train_tokenizer(params(tokenizer__markers=["[SEP]"]))


def test_a_cut_vocabulary_keeps_its_markers() -> None:
    run_train_tokenizer(marked())
    tokenizer, _ = load_tokenizer(TOKENIZER)
    counts = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    student, teacher_ids = cut_vocabulary(tokenizer, SPECIAL_TOKENS, counts, 120)
    for marker in MARKERS:
        assert teacher_ids[student.token_to_id(marker)] == tokenizer.token_to_id(marker)
    text = "[E1] Ba [/E1] co [E2]di[/E2]"
    assert [token for token in tokens_of(student, text) if token in MARKERS] == MARKERS


def test_rows_are_tokenized_with_their_markers_for_teacher_and_student() -> None:
    for split in ("train", "dev", "test"):
        rows = [f"[E1] {text.split()[0]} [/E1] [E2] {text} [/E2]" for text in texts(ROWS / f"{split}.parquet")]
        write_table(ROWS / f"{split}.parquet", rows, LABELS)
    settings = marked(**NO_TRANSFER, tasks__sentiment__max_length=64)
    run_train_tokenizer(settings)
    out = run_tokenize(settings)
    for side, folder in (("teacher", TOKENIZER), ("student", Path("models/student_tokenizer"))):
        tokenizer, _ = load_tokenizer(folder)
        ids = [tokenizer.token_to_id(marker) for marker in MARKERS]
        for row in TokenRows.load(out / side / "train"):
            assert [token for token in row.tolist() if token in ids] == ids


def test_adopted_weights_get_embeddings_for_markers_that_are_the_same_at_every_run() -> None:
    plain = params()
    run_train_tokenizer(plain)
    tokens = run_tokenize_corpus(plain)
    published = Path("published")
    _pretrain(plain, tokens, Path("constraints.txt"), published)
    nothing = {"kind": "adopt", "vocabulary_size": None, "lowercase": None, "min_frequency": None, "markers": MARKERS}
    adopting = params(
        init_from={"kind": "folder", "path": str(published)}, tokenizer=nothing, pretrain__architecture=None,
        pretrain__embeddings=None, pretrain__max_tokens=0,
    )  # fmt: skip
    shutil.rmtree(TOKENIZER)
    run_train_tokenizer(adopting, init_from=str(published))
    tokens = run_tokenize_corpus(adopting)
    for out in ("adopted", "again"):
        _pretrain(adopting, tokens, published, Path(out))
    assert content_hash(Path("adopted")) == content_hash(Path("again"))
    before, after = (load_file(Path(name) / "model.safetensors")[WORDS] for name in (published, "adopted"))
    assert after.shape[0] == before.shape[0] + len(MARKERS)
    assert np.array_equal(after[: len(before)], before)
    new = after[len(before) :]
    assert len(np.unique(new, axis=0)) == len(MARKERS) and 0 < new.std() < 0.1
    model = BertForMaskedLM.from_pretrained("adopted")
    assert model.config.vocab_size == len(after) == model.cls.predictions.bias.shape[0]
    fewer = params(
        init_from={"kind": "folder", "path": str(published)}, tokenizer=nothing | {"markers": MARKERS[:3]},
        pretrain__architecture=None, pretrain__embeddings=None, pretrain__max_tokens=0,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"^init_from: 140 word embeddings, expected the 144 of its tokenizer"):
        _pretrain(fewer, tokens, published, Path("refused"))


def _pretrain(settings: Params, tokens: Path, init_from: Path, out: Path) -> None:
    history = Path(f"{out}.json")
    pretrain.run(settings, tokens=tokens, tokenizer=TOKENIZER, init_from=init_from, out=out, history=history)
