"""A cut vocabulary: the frequent pieces stay, every word is still spelled, ids lead back to the teacher's."""

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from pipeline.tokenization.folder import SPECIAL_TOKENS, assemble
from pipeline.tokenization.vocabulary import cut_vocabulary

LETTERS = list("abdeglnopry")
PIECES = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
WORDS = ["dog", "good", "play", "##ed", "##er", "lonely", "##able"]
REQUIRED = 5 + 2 * len(LETTERS)


def teacher() -> Tokenizer:
    vocabulary = {piece: i for i, piece in enumerate([*PIECES, *WORDS])}
    return assemble(
        models.WordPiece(vocabulary, unk_token="[UNK]"),
        SPECIAL_TOKENS,
        normalizers.BertNormalizer(lowercase=True),
        pre_tokenizers.BertPreTokenizer(),
        decoders.WordPiece(),
    )


def counts(**pieces: int) -> np.ndarray:
    found = np.zeros(len(PIECES) + len(WORDS), dtype=np.int64)
    for piece, count in pieces.items():
        found[teacher().token_to_id(piece.replace("__", "##"))] = count
    return found


def test_frequent_pieces_characters_and_special_tokens_stay_in_order() -> None:
    full = teacher()
    student, teacher_ids = cut_vocabulary(full, SPECIAL_TOKENS, counts(good=5, __er=7, play=3, dog=1), REQUIRED + 3)
    assert student.get_vocab_size() == len(teacher_ids) == REQUIRED + 3
    assert teacher_ids.dtype == np.int64 and (np.diff(teacher_ids) > 0).all()
    pieces = [student.id_to_token(i) for i in range(len(teacher_ids))]
    assert pieces == [full.id_to_token(i) for i in teacher_ids.tolist()]
    assert pieces[-3:] == ["good", "play", "##er"]
    assert "[unused0]" not in pieces


def test_every_word_the_teacher_spells_is_still_spelled() -> None:
    full = teacher()
    student, _ = cut_vocabulary(full, SPECIAL_TOKENS, counts(play=1), REQUIRED + 1)
    for word in ("dog", "played", "player", "goodable", "lonely", "energy"):
        assert "[UNK]" not in full.encode(word).tokens
        tokens = student.encode(word).tokens
        assert "[UNK]" not in tokens
        assert "".join(token.removeprefix("##") for token in tokens[1:-1]) == word
    assert student.encode("Played").tokens == ["[CLS]", "play", "##e", "##d", "[SEP]"]
    assert student.encode("xyz").tokens == ["[CLS]", "[UNK]", "[SEP]"]


def test_pieces_never_seen_fill_up_in_the_teachers_order() -> None:
    student, _ = cut_vocabulary(teacher(), SPECIAL_TOKENS, counts(lonely=2), REQUIRED + 3)
    assert [student.id_to_token(REQUIRED + i) for i in range(3)] == ["dog", "good", "lonely"]


@pytest.mark.parametrize("size", [REQUIRED - 1, REQUIRED + len(WORDS) + 1])
def test_a_size_that_cannot_be_is_refused(size: int) -> None:
    line = rf"^{size}, expected {REQUIRED} \(single characters and special tokens\) to {REQUIRED + len(WORDS)}"
    with pytest.raises(ValueError, match=line):
        cut_vocabulary(teacher(), SPECIAL_TOKENS, counts(), size)


def test_only_a_wordpiece_can_be_cut() -> None:
    with pytest.raises(ValueError, match="expected null unless the teacher's tokenizer is a WordPiece"):
        cut_vocabulary(Tokenizer(models.BPE()), SPECIAL_TOKENS, np.zeros(0), 100)
