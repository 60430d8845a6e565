"""Adopt the tokenizer that comes with a pretrained model."""

from pathlib import Path

from tokenizers import Tokenizer

from pipeline.files import InputError
from pipeline.tokenization.folder import SPECIAL_TOKENS, load_tokenizer, naming_what_is_broken, stated_length

SLOW_FILES = ("vocab.txt", "vocab.json")  # models from before tokenizer.json; transformers converts them


def adopt_tokenizer(folder: Path) -> tuple[Tokenizer, dict[str, str], int]:
    """Return the tokenizer of a model folder, its special tokens by transformers' names and its rows' limit in tokens.

    The limit is the smaller of `model_max_length` and the model's positions: a folder may state one of them only.
    Raises InputError where the folder holds no tokenizer, or none that a masked language model can use.
    """
    if (folder / "tokenizer.json").is_file():
        tokenizer, special_tokens = load_tokenizer(folder)
    elif any((folder / name).is_file() for name in SLOW_FILES):
        tokenizer, special_tokens = _converted(folder)
    else:
        raise InputError(f"init_from: {folder} holds no tokenizer, expected tokenizer.json or {SLOW_FILES[0]}")
    limits = [
        limit
        for file, key in (("tokenizer_config.json", "model_max_length"), ("config.json", "max_position_embeddings"))
        if (folder / file).is_file() and (limit := stated_length(folder / file, key)) is not None
    ]
    if not limits:
        raise InputError(f"init_from: {folder} states neither model_max_length nor max_position_embeddings")
    return tokenizer, special_tokens, min(limits)


def _converted(folder: Path) -> tuple[Tokenizer, dict[str, str]]:
    from transformers import AutoTokenizer

    with naming_what_is_broken(folder):
        # code that a folder brings along is never run, nor anybody asked whether to
        converted = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        special_tokens = {name: str(getattr(converted, name)) for name in SPECIAL_TOKENS}
        return converted.backend_tokenizer, special_tokens
