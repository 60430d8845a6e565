"""Which tokens are hidden, and behind what."""

import json
from pathlib import Path

import numpy as np

from pipeline.objectives.masking import Masking, continuing_ids
from pipeline.objectives.vocabulary import Vocabulary
from pipeline.params import load_params

ROOT = Path(__file__).parents[2]
VOCABULARY, MASK = 1000, 4
SPECIAL = np.arange(VOCABULARY) < 5
IDS = np.random.default_rng(1).integers(0, VOCABULARY, size=(400, 64)).astype(np.uint16)


def test_the_share_is_chosen_and_replaced_80_10_10() -> None:
    masked, chosen = Masking(MASK, 0.15, SPECIAL).apply(IDS, np.random.default_rng(0))
    ordinary = ~SPECIAL[IDS]
    assert abs(chosen[ordinary].mean() - 0.15) < 0.005
    assert np.array_equal(masked[~chosen], IDS[~chosen])
    became_mask = masked[chosen] == MASK
    stayed = masked[chosen] == IDS[chosen]
    assert abs(became_mask.mean() - 0.8) < 0.015
    assert abs(stayed.mean() - 0.1) < 0.015
    assert masked.dtype == np.int64


def test_special_tokens_are_neither_chosen_nor_put_in() -> None:
    for continues in (None, np.arange(VOCABULARY) % 2 == 1):
        masked, chosen = Masking(MASK, 0.9, SPECIAL, continues).apply(IDS, np.random.default_rng(0))
        assert not chosen[SPECIAL[IDS]].any()
        assert not SPECIAL[masked[chosen & (masked != MASK)]].any()


def test_masks_follow_the_generator() -> None:
    masking = Masking(MASK, 0.15, SPECIAL)
    first, again, other = (masking.apply(IDS, np.random.default_rng(seed))[0] for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_whole_words_are_chosen_together_and_at_the_same_rate() -> None:
    continues = np.zeros(VOCABULARY, dtype=bool)
    continues[500:] = True
    masking = Masking(MASK, 0.15, SPECIAL, continues)
    _, chosen = masking.apply(IDS, np.random.default_rng(0))
    assert abs(chosen[~SPECIAL[IDS]].mean() - 0.15) < 0.01
    inside = continues[IDS[:, 1:]] & ~SPECIAL[IDS[:, :-1]]
    assert np.array_equal(chosen[:, 1:][inside], chosen[:, :-1][inside])
    # a word ends at a special token and at the end of the row
    _, chosen = Masking(MASK, 0.5, SPECIAL, continues).apply(
        np.tile(np.array([600, 0, 601, 602]), (500, 1)), np.random.default_rng(0)
    )
    assert not np.array_equal(chosen[:, 0], chosen[:, 2])
    assert not np.array_equal(chosen[1:, 0], chosen[:-1, 3])
    assert np.array_equal(chosen[:, 2], chosen[:, 3])


def test_pieces_that_continue_a_word_are_read_from_the_tokenizer(tmp_path: Path) -> None:
    word_piece = {"type": "WordPiece", "continuing_subword_prefix": "##", "vocab": {"[PAD]": 0, "a": 1, "##b": 2}}
    byte_level = {"type": "BPE", "vocab": {"Ġa": 0, "b": 1}}
    for model, expected in ((word_piece, [False, False, True]), (byte_level, [False, True, False])):
        (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model}))
        assert continuing_ids(tmp_path, 3).tolist() == expected


def test_the_section_of_params_and_the_tokenizer_make_the_masking(tmp_path: Path) -> None:
    model = {
        "type": "WordPiece",
        "continuing_subword_prefix": "##",
        "vocab": {"[PAD]": 0, "[MASK]": 1, "a": 2, "##b": 3},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model}))
    vocabulary = Vocabulary(tmp_path, 4, {"pad_token_id": 0, "mask_token_id": 1})
    pretrain = load_params(ROOT / "params.yaml").pretrain.model_copy(update={"mask_share": 0.3})
    masking = Masking.from_params(pretrain, vocabulary)
    assert (masking.mask_token_id, masking.share, masking.continues) == (1, 0.3, None)
    assert masking.special.tolist() == [True, True, False, False]
    whole = Masking.from_params(pretrain.model_copy(update={"whole_word_mask": True}), vocabulary)
    assert whole.continues is not None and whole.continues.tolist() == [False, False, False, True]
