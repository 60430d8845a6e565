"""Rows with words exchanged by a language model that knows which words take each other's place."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from transformers import BertConfig, BertForMaskedLM

from pipeline.files import InputError
from pipeline.tokenization.folder import SPECIAL_TOKENS, assemble, save_tokenizer
from pipeline.tokenization.replacement import replace_words
from pipeline.tokenization.transfer import content_id
from pipeline.training.batches import pad_rows

ANIMALS = [f"{name}beast" for name in ("ape", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibex", "jay")]
PLANTS = [f"{name}tree" for name in ("ash", "bay", "elm", "fig", "gum", "yew", "oak", "may", "nut", "pear")]
SYLLABLES = [f"{consonant}{vowel}" for consonant in "bdgklmnp" for vowel in "aeiou"]
OTHERS = ["the", "sees", "a"]
NEVER = [f"{one}{other}" for one in SYLLABLES for other in SYLLABLES]  # seen in no sentence
PIECES = [*SPECIAL_TOKENS.values(), *OTHERS, *ANIMALS, *PLANTS, "un", "##known", ".", *NEVER]


def sentence(chance: random.Random) -> str:
    return f"The {chance.choice(ANIMALS)} sees a {chance.choice(PLANTS)}."


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model that was taught that animals see plants; "untrained" beside it was taught nothing."""
    folder = tmp_path_factory.mktemp("models") / "pretrained"
    model = WordPiece({piece: id_ for id_, piece in enumerate(PIECES)}, unk_token="[UNK]")
    tokenizer = assemble(model, SPECIAL_TOKENS, normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer(), None)
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(PIECES), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    language_model, chance = BertForMaskedLM(shape), random.Random(0)
    for name in ("untrained", "pretrained"):
        if name == "pretrained":
            optimizer = torch.optim.AdamW(language_model.parameters(), lr=1e-2)
            for _ in range(150):
                rows = [tokenizer.encode(sentence(chance)).ids for _ in range(32)]
                ids, mask = pad_rows([np.array(row) for row in rows], pad_token_id=0)
                hidden = (torch.rand(ids.shape) < 0.3) & (ids > 4)
                optimizer.zero_grad()
                read, labels = ids.masked_fill(hidden, PIECES.index("[MASK]")), ids.masked_fill(~hidden, -100)
                language_model(input_ids=read, attention_mask=mask, labels=labels).loss.backward()
                optimizer.step()
        language_model.save_pretrained(folder.with_name(name))
        save_tokenizer(tokenizer, SPECIAL_TOKENS, 16, folder.with_name(name))
    return folder


def made(pretrained: Path, rows: list[str], count: int, seed: int = 17, min_words: int = 3) -> list[tuple[str, str]]:
    return replace_words(rows, count, min_words, 60, pretrained, torch.float32, seed)


def test_words_are_exchanged_for_others_that_fit_there(pretrained: Path) -> None:
    chance = random.Random(1)
    rows = [sentence(chance) for _ in range(20)]
    found = made(pretrained, rows, 200)
    assert [id_ for id_, _ in found] == sorted({content_id(text) for _, text in found})
    assert 100 < len(found) <= 200 and not {text for _, text in found} & set(rows)
    words = [text.removesuffix(".").split() for _, text in found]
    assert {len(row) for row in words} == {5} and all(text.endswith(".") for _, text in found)
    assert all(row[0][0].isupper() for row in words)
    known = {*OTHERS, *ANIMALS, *PLANTS}
    assert all(word.lower() in known for row in words for word in row)
    fitting = np.mean([row[1] in ANIMALS and row[4] in PLANTS for row in words])
    assert fitting > 0.6  # a third of 15 likely words are of another kind, since there are but nine others of each


def test_equal_seeds_make_equal_texts(pretrained: Path) -> None:
    rows = [sentence(random.Random(2)), "The apebeast sees a yewtree."]
    assert made(pretrained, rows, 30) == made(pretrained, rows, 30) != made(pretrained, rows, 30, seed=18)


def test_what_is_no_whole_word_of_the_model_stays(pretrained: Path) -> None:
    found = made(pretrained, ["unknown unknown, apebeast unknown 17!"], 30)
    assert found and all(text[:17] == "unknown unknown, " and text[-12:] == " unknown 17!" for _, text in found)
    assert made(pretrained, ["unknown unknown unknown"], 30) == []
    assert made(pretrained, ["The apebeast sees a yewtree."], 30, min_words=6) == []
    assert made(pretrained, [], 30) == []


def test_what_stands_beyond_the_models_longest_row_is_exchanged_too(pretrained: Path) -> None:
    row = " ".join(["the"] * 40)
    found = made(pretrained, [row], 60)
    changed = [place for _, text in found for place, word in enumerate(text.split()) if word != "the"]
    assert min(changed) < 5 and max(changed) > 34


def test_a_model_that_predicts_no_masked_words_is_refused(pretrained: Path) -> None:
    chance = random.Random(3)
    with pytest.raises(InputError, match=r"untrained: of the words .* transfer\.replaced expects a trained masked-LM"):
        made(pretrained.with_name("untrained"), [sentence(chance) for _ in range(50)], 200)
