"""A tokenizer as a Hugging Face folder: `AutoTokenizer` loads it, equal tokenizers give equal bytes.

Stages read the folder with `tokenizers` alone, which starts in a tenth of the time that transformers takes.
"""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from pipeline.files import InputError, read_json, write_json

SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
FRAME = 2  # [CLS] and [SEP]: a shorter row would have no room for a text


def assemble(
    model: models.Model,
    special_tokens: dict[str, str],
    normalizer: normalizers.Normalizer | None,
    pre_tokenizer: pre_tokenizers.PreTokenizer | None,
    decoder: decoders.Decoder | None,
) -> Tokenizer:
    """Return a tokenizer around `model` that frames a row as `[CLS] row [SEP]` and a pair as `[CLS] a [SEP] b [SEP]`.

    `special_tokens` maps transformers' names (`cls_token`, …) to tokens that stand in the model's vocabulary.
    """
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizer, decoder
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special_tokens.values()])
    start, end = special_tokens["cls_token"], special_tokens["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} $B:1 {end}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, end)],
    )
    return tokenizer


def add_markers(tokenizer: Tokenizer, special_tokens: dict[str, str], markers: list[str]) -> None:
    """Make a token of each of `markers`, cut out of a text as it stands there with the white space before it.

    One that is in the vocabulary keeps its id, others get the next ones. Raises InputError for one that frames rows.
    """
    for marker in markers:
        if marker in special_tokens.values():
            raise InputError(f"tokenizer.markers: {marker} is a special token of the tokenizer, expected another one")
    tokenizer.add_special_tokens([AddedToken(marker, special=True, lstrip=True) for marker in markers])


def save_tokenizer(
    tokenizer: Tokenizer, special_tokens: dict[str, str], max_length: int, folder: Path, *, keep_end: bool = False
) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` into `folder`; `max_length` is a row's limit in tokens.

    With `keep_end` longer rows are cut and shorter ones padded at their beginning: for texts that a model goes on with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    configuration = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    }
    if keep_end:
        configuration |= {"truncation_side": "left", "padding_side": "left"}
    write_json(folder / "tokenizer_config.json", configuration | special_tokens)


def load_tokenizer(folder: Path) -> tuple[Tokenizer, dict[str, str]]:
    """Return the tokenizer of `folder`, neither truncating nor padding, and its special tokens by transformers' names.

    Raises InputError where the folder has no readable tokenizer or one of the five special tokens is missing.
    """
    tokenizer = read_tokenizer(folder / "tokenizer.json")
    special_tokens = read_special_tokens(folder)
    for name, token in special_tokens.items():
        if tokenizer.token_to_id(token) is None:
            raise InputError(f"{folder}: {name} {token} is not in the vocabulary, expected it to be")
    return tokenizer, special_tokens


def read_max_length(folder: Path) -> int:
    """Return a row's limit in tokens that `save_tokenizer` wrote; raise InputError where there is none."""
    limit = stated_length(folder / "tokenizer_config.json", "model_max_length")
    if limit is None:
        raise InputError(f"{folder / 'tokenizer_config.json'}: no number as model_max_length, expected tokens a row")
    return limit


def stated_length(path: Path, key: str) -> int | None:
    """Return the number of tokens that `key` of a JSON file states, None where it states no such number."""
    length = _read_object(path).get(key)
    return length if type(length) is int and length > FRAME else None


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json and switch its truncation and padding off; raise InputError where it is broken."""
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a fast tokenizer")
    _check_template(path, _read_object(path).get("post_processor"))
    with naming_what_is_broken(path):
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode("a row")  # some broken ones load
    return tokenizer


@contextlib.contextmanager
def naming_what_is_broken(place: Path) -> Iterator[None]:
    """Turn whatever a library raises over a broken tokenizer into an InputError that names `place`."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # tokenizers raises nothing narrower, and a panic of its Rust code is no Exception
        raise InputError(f"{place}: not a readable tokenizer ({' '.join(str(error).split())})") from None


def _check_template(path: Path, processor: Any) -> None:
    """Raise InputError where rows are framed by a token that is not defined, over which Rust code would panic."""
    if not isinstance(processor, dict) or processor.get("type") != "TemplateProcessing":
        return
    defined = processor.get("special_tokens")
    templates = [template for kind in ("single", "pair") if isinstance(template := processor.get(kind), list)]
    for piece in itertools.chain(*templates):
        token = piece.get("SpecialToken") if isinstance(piece, dict) else None
        name = token.get("id") if isinstance(token, dict) else None
        if isinstance(name, str) and not (isinstance(defined, dict) and name in defined):
            raise InputError(f"{path}: post_processor frames rows with {name!r}, expected it among its special_tokens")


def read_special_tokens(folder: Path) -> dict[str, str]:
    """Return the five special tokens that `tokenizer_config.json` or the older `special_tokens_map.json` name."""
    stated: dict[str, object] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            stated |= {key: value for key, value in _read_object(folder / name).items() if value is not None}
    special_tokens = {}
    for name in SPECIAL_TOKENS:
        token = stated.get(name)
        content = token.get("content") if isinstance(token, dict) else token
        if not isinstance(content, str) or not content.isprintable():
            raise InputError(f"{folder}: the tokenizer names no {name}, expected {', '.join(SPECIAL_TOKENS)}")
        special_tokens[name] = content
    return special_tokens


def _read_object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: {type(value).__name__}, expected a JSON object")
    return value


def special_ids(tokenizer: Tokenizer, special_tokens: dict[str, str]) -> dict[str, int]:
    """Return the ids of the special tokens under transformers' names: `pad_token_id`, `cls_token_id`, …"""
    vocabulary = tokenizer.get_vocab()
    return {f"{name}_id": vocabulary[token] for name, token in special_tokens.items()}
