"""Texts made of the rows by exchanging words for others that the language model finds likely in their place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from pipeline.architectures import ARCHITECTURES, family_of
from pipeline.files import InputError
from pipeline.tokenization.folder import load_tokenizer, read_max_length, special_ids
from pipeline.tokenization.ragged import TokenRows, smallest_dtype
from pipeline.tokenization.transfer import content_id, count_words
from pipeline.training import runtime
from pipeline.training.prediction import predict_logits
from pipeline.words import words

LIKELIEST = 15  # words that one is exchanged for
SHARE = 0.4  # of a text's words that are exchanged
BATCH_SIZE = 64
BETTER_THAN_CHANCE = 5  # times as often has a head to be right, else it was never trained
BEGINS = "Ġ"  # a piece that begins a word of byte-level BPE; of WordPiece those that begin none have signs before them

Place = tuple[int, int]  # a row and the token in it


def replace_words(
    rows: Sequence[str], count: int, min_words: int, max_words: int, pretrained: Path, dtype: torch.dtype, seed: int
) -> list[tuple[str, str]]:
    """Return up to `count` distinct texts made of `rows` as (id, text), sorted by id; no row stands in them.

    The rows take turns. Each word that is one piece of the language model's in `pretrained` is exchanged with
    probability SHARE, for one of the LIKELIEST other words that it predicts where that word alone is masked.
    Source: Jiao et al. 2020 (TinyBERT), algorithm 1, with its p and K; words of several pieces stay as they are.
    Raises InputError where the model predicts masked words no better than by chance.
    """
    tokenizer, special_tokens = load_tokenizer(pretrained)
    encodings, spelled = tokenizer.encode_batch(list(rows)), _spelled(tokenizer)
    places = [_replaceable(text, encoding, spelled) for text, encoding in zip(rows, encodings, strict=True)]
    fitting = [row for row, text in enumerate(rows) if places[row] and min_words <= count_words(text) <= max_words]
    chance = np.random.default_rng([seed, 5])
    order = chance.permutation(np.array(fitting, dtype=np.int64)).tolist()
    draws = []
    for row in (order * (count // max(len(order), 1) + 1))[:count]:
        exchanged = [token for token in places[row] if chance.random() < SHARE]
        draws.append((row, exchanged or [places[row][chance.integers(len(places[row]))]]))
    masked = sorted({(row, token) for row, tokens in draws for token in tokens})
    if not masked:
        return []
    mask_id = special_ids(tokenizer, special_tokens)["mask_token_id"]
    others = dict(zip(masked, _likely_words(pretrained, encodings, masked, mask_id, spelled, dtype), strict=True))
    found: dict[str, str] = {}
    for row, tokens in draws:
        text = rows[row]
        for token in reversed(tokens):
            start, end = _word(text, encodings[row].offsets[token])
            word = spelled[chance.choice(others[row, token])]
            text = text[:start] + (word.capitalize() if text[start].isupper() else word) + text[end:]
        found[content_id(text)] = text
    for text in rows:
        found.pop(content_id(text), None)
    return sorted(found.items())


def _spelled(tokenizer: Tokenizer) -> np.ndarray:
    """Return the word that each id of the vocabulary is by itself, "" for those that are none."""
    pieces = [tokenizer.id_to_token(id_) or "" for id_ in range(tokenizer.get_vocab_size())]
    begins = BEGINS if any(piece.startswith(BEGINS) for piece in pieces) else ""
    spelled = (piece.removeprefix(begins) if piece.startswith(begins) else "" for piece in pieces)
    return np.array([word if word.isalpha() else "" for word in spelled], dtype=object)


def _word(text: str, place: tuple[int, int]) -> tuple[int, int]:
    """Return where the word of a token stands: a byte-level token may have the space before it."""
    start, end = place
    return end - len(text[start:end].lstrip()), end


def _replaceable(text: str, encoding: Encoding, spelled: np.ndarray) -> list[int]:
    borders = set(words(text))
    return [
        token
        for token, (id_, place) in enumerate(zip(encoding.ids, encoding.offsets, strict=True))
        if spelled[id_] and _word(text, place) in borders
    ]


def _likely_words(
    pretrained: Path,
    encodings: Sequence[Encoding],
    masked: Sequence[Place],
    mask_id: int,
    spelled: np.ndarray,
    dtype: torch.dtype,
) -> np.ndarray:
    """Return the ids of the words that the model finds likeliest at each place, that which stands there left out."""
    model: Any = ARCHITECTURES[family_of(pretrained)]().load(pretrained, head="masked_lm").to(runtime.device())
    limit, actual = read_max_length(pretrained), np.array([encodings[row].ids[token] for row, token in masked])
    rows: list[Any] = []
    positions = []
    for row, token in masked:
        start = max(0, min(token - limit // 2, len(encodings[row].ids) - limit))
        ids = np.array(encodings[row].ids[start : start + limit])
        ids[token - start] = mask_id
        rows.append(ids)
        positions.append(token - start)
    read = TokenRows.from_rows(rows, actual, smallest_dtype(len(spelled)))
    read.positions[:] = positions
    no_words = torch.from_numpy(np.array([not word for word in spelled])).to(runtime.device())

    def likeliest(logits: Tensor, chosen: np.ndarray) -> Tensor:
        return logits.masked_fill(no_words, -torch.inf).topk(LIKELIEST + 1, dim=-1).indices.float()

    settings: dict[str, Any] = {"batch_size": BATCH_SIZE, "pad_token_id": model.config.pad_token_id, "dtype": dtype}
    found = predict_logits(model, read, **settings, name="likely words", reduce=likeliest).astype(np.int64)
    right, by_chance = (found == actual[:, None]).any(axis=1).mean(), (LIKELIEST + 1) / sum(map(bool, spelled))
    if right <= BETTER_THAN_CHANCE * by_chance:
        raise InputError(
            f"{pretrained}: of the words that are masked {right:.1%} are among the {LIKELIEST + 1} that it finds "
            f"likeliest, by chance {by_chance:.1%} would be; transfer.replaced expects a trained masked-LM head"
        )
    return np.stack([own[own != id_][:LIKELIEST] for own, id_ in zip(found, actual, strict=True)])
