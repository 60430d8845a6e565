"""Tokenizers of models from elsewhere: RoBERTa's as it is, GPT-2's with what it lacks."""

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from pipeline.files import InputError
from pipeline.tokenization.adoption import adopt_tokenizer
from pipeline.tokenization.encoding import encode_rows
from pipeline.tokenization.folder import load_tokenizer, save_tokenizer, special_ids

TEXTS = ["a row of words", "another row, of other words"]
END = "<|endoftext|>"


def byte_level(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=special,
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    """A folder as GPT-2 is published: its end of a text is the one special token, no file names it."""
    folder = tmp_path / "gpt2"
    folder.mkdir()
    tokenizer = byte_level([END])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1024}')
    write_config(folder, eos_token_id=tokenizer.token_to_id(END))
    return folder


def write_config(folder: Path, **keys: object) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": 32} | keys))


def test_gpt2_gets_padding_behind_its_vocabulary_and_frames_a_row_by_its_end(gpt2: Path, tmp_path: Path) -> None:
    published = Tokenizer.from_file(str(gpt2 / "tokenizer.json"))
    tokenizer, special_tokens, max_length = adopt_tokenizer(gpt2)
    save_tokenizer(tokenizer, special_tokens, max_length, tmp_path / "adopted")
    tokenizer, special_tokens = load_tokenizer(tmp_path / "adopted")
    ids, end = special_ids(tokenizer, special_tokens), published.token_to_id(END)
    assert max_length == 32
    assert ids == dict.fromkeys(ids, end) | {"pad_token_id": published.get_vocab_size()}
    assert tokenizer.get_vocab_size() == published.get_vocab_size() + 1
    for text in TEXTS:
        plain = published.encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text, add_special_tokens=False).ids == plain
        assert tokenizer.encode(text).ids == [end, *plain, end]
        assert tokenizer.decode(plain) == text


def test_gpt2_as_it_was_published_first_is_converted(gpt2: Path) -> None:
    model = json.loads((gpt2 / "tokenizer.json").read_text())["model"]
    (gpt2 / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (gpt2 / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    expected, _, _ = adopt_tokenizer(gpt2)
    (gpt2 / "tokenizer.json").unlink()
    (gpt2 / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    tokenizer, special_tokens, max_length = adopt_tokenizer(gpt2)
    assert max_length == 32
    assert special_tokens == dict.fromkeys(special_tokens, END) | {"pad_token": "[PAD]"}
    for text in TEXTS:
        assert tokenizer.encode(text).ids == expected.encode(text).ids


@pytest.mark.parametrize("found", [None, -1, 10**30, "end", True])
def test_gpt2_has_to_name_its_end(gpt2: Path, found: object) -> None:
    write_config(gpt2, eos_token_id=found)
    with pytest.raises(InputError, match=r"config\.json: eos_token_id is .*, expected an id of its tokenizer$"):
        adopt_tokenizer(gpt2)


def test_a_gpt_of_ones_own_is_adopted_as_it_is(gpt2: Path, tmp_path: Path) -> None:
    tokenizer, special_tokens, max_length = adopt_tokenizer(gpt2)
    save_tokenizer(tokenizer, special_tokens, max_length, tmp_path / "own")
    write_config(tmp_path / "own", pad_token_id=tokenizer.token_to_id("[PAD]"))
    again, names, _ = adopt_tokenizer(tmp_path / "own")
    assert again.to_str() == tokenizer.to_str()
    assert names == special_tokens


def test_roberta_keeps_its_tokenizer_and_the_positions_that_rows_can_have(tmp_path: Path) -> None:
    names = {
        "cls_token": "<s>",
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    published = byte_level(list(names.values()))
    ids = {token: published.token_to_id(token) for token in names.values()}
    published.post_processor = processors.RobertaProcessing(("</s>", ids["</s>"]), ("<s>", ids["<s>"]))
    published.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    config = {"model_type": "roberta", "max_position_embeddings": 34, "pad_token_id": ids["<pad>"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    tokenizer, special_tokens, max_length = adopt_tokenizer(tmp_path)
    assert special_tokens == names
    assert max_length == 34 - ids["<pad>"] - 1
    rows = encode_rows(tokenizer, TEXTS, [-1, -1], max_length)
    assert [row[0] for row in rows] == [ids["<s>"]] * 2 and [row[-1] for row in rows] == [ids["</s>"]] * 2
