"""Adopt the tokenizer that comes with a pretrained model."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pipeline.architectures.limits import longest_row
from pipeline.files import InputError, read_json
from pipeline.tokenization.folder import (
    FRAME,
    SPECIAL_TOKENS,
    assemble,
    load_tokenizer,
    naming_what_is_broken,
    read_tokenizer,
    stated_length,
)

FAST_FILE = "tokenizer.json"
SLOW_FILES = ("vocab.txt", "vocab.json")  # models from before tokenizer.json; transformers converts them


def adopt_tokenizer(folder: Path) -> tuple[Tokenizer, dict[str, str], int]:
    """Return the tokenizer of a model folder, its special tokens by transformers' names and its rows' limit in tokens.

    The limit is the smaller of `model_max_length` and the model's positions: a folder may state one of them only.
    Raises InputError where the folder holds no tokenizer, or none that a language model can use.
    """
    if not any((folder / name).is_file() for name in (FAST_FILE, *SLOW_FILES)):
        raise InputError(f"init_from: {folder} holds no tokenizer, expected {FAST_FILE} or {SLOW_FILES[0]}")
    config = _configuration(folder)
    if config.get("model_type") in ("gpt2", "llama") and config.get("pad_token_id") is None:
        tokenizer, special_tokens = _with_padding(folder, config.get("eos_token_id"))
    elif (folder / FAST_FILE).is_file():
        tokenizer, special_tokens = load_tokenizer(folder)
    else:
        tokenizer, special_tokens = _converted(folder)
    stated = folder / "tokenizer_config.json"
    limits = [
        limit
        for limit in (stated_length(stated, "model_max_length") if stated.is_file() else None, longest_row(config))
        if limit is not None and limit > FRAME
    ]
    if not limits:
        raise InputError(f"init_from: {folder}: the tokenizer states no model_max_length and the model no positions")
    return tokenizer, special_tokens, min(limits)


def _configuration(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    config = read_json(path) if path.is_file() else {}
    if not isinstance(config, dict):
        raise InputError(f"{path}: {type(config).__name__}, expected a JSON object")
    return config


def _with_padding(folder: Path, end_token_id: Any) -> tuple[Tokenizer, dict[str, str]]:
    """Return the tokenizer of GPT-2, which knows the end of a text alone, with the five tokens that rows are made with.

    The end of a text stands on both sides of a row, and for whatever else a causal model has no use for. Padding is a
    token of its own, behind the vocabulary: a classifier reads the last token that is none.
    """
    if (folder / FAST_FILE).is_file():
        tokenizer = read_tokenizer(folder / FAST_FILE)
    else:
        tokenizer, _ = _converted(folder)
    known = type(end_token_id) is int and 0 <= end_token_id < tokenizer.get_vocab_size()
    end = tokenizer.id_to_token(end_token_id) if known else None
    if end is None:
        raise InputError(f"{folder}/config.json: eos_token_id is {end_token_id}, expected an id of its tokenizer")
    special_tokens = dict.fromkeys(SPECIAL_TOKENS, end) | {"pad_token": SPECIAL_TOKENS["pad_token"]}
    parts = tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder
    return assemble(tokenizer.model, special_tokens, *parts), special_tokens


def _converted(folder: Path) -> tuple[Tokenizer, dict[str, str]]:
    from transformers import AutoTokenizer

    with naming_what_is_broken(folder):
        # code that a folder brings along is never run, nor anybody asked whether to
        converted = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        special_tokens = {name: str(getattr(converted, name)) for name in SPECIAL_TOKENS}
        return converted.backend_tokenizer, special_tokens
