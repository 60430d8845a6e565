"""`stillhouse bias`: which of two sentences the language model finds likelier, the stereotype or the other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.cli.answers import answer
from pipeline.files import InputError
from pipeline.params import load_params

PRETRAINED = Path("models/pretrained")
CONFIDENCE = 0.95
SHOWN_EVERY = 100  # pairs


def measure_stereotypes(data: Path | None, winobias: Path | None, model: Path | None) -> None:
    """Print how often the language model in `model`, or the run's own, finds the more stereotypical sentence likelier.

    Of the pairs in the file `data`, which has the columns of CrowS-Pairs, or of those in the folder `winobias`.
    """
    from pipeline.evaluation.stereotypes import preference_shares

    pairs, caution = _pairs(data, winobias)
    if model is None:
        _check_head_was_trained()
    prefer, console = _preference(model or PRETRAINED), Console()
    preferences = []
    for number, pair in enumerate(pairs, start=1):
        preferences.append(prefer(pair))
        if number % SHOWN_EVERY == 0 or number == len(pairs):
            print(f"{number:,} of {len(pairs):,} pairs", flush=True)
    table = Table(title=f"{model or PRETRAINED}: stereotype preferred", box=box.SIMPLE_HEAD, title_justify="left")
    for heading in ("people told apart by", "pairs", "share", f"interval at {CONFIDENCE:.0%}"):
        table.add_column(heading, justify="left" if heading.startswith("people") else "right")
    shares = preference_shares(pairs, preferences, CONFIDENCE)
    for kind, found in shares.items():
        low, high = found["interval"]
        table.add_row(kind, f"{found['pairs']:,}", f"{found['share']:.1%}", f"{low:.1%} to {high:.1%}")
    console.print(table)
    console.print(caution, markup=False, highlight=False)
    answer({"model": str(model or PRETRAINED), "confidence": CONFIDENCE, "shares": shares, "caution": caution})


def _pairs(data: Path | None, winobias: Path | None) -> tuple[list[Any], str]:
    """Return the pairs, and what has to be known to read what comes out."""
    from pipeline.evaluation import stereotypes
    from pipeline.evaluation.winobias import CAUTION, read_winobias

    if data is not None:
        return stereotypes.read_pairs(data), stereotypes.CAUTION
    assert winobias is not None  # the command line asks for one of both
    pairs, left_out = read_winobias(winobias)
    return pairs, f"{CAUTION} {left_out:,} pairs that differ in more than pronouns were left out."


def _check_head_was_trained() -> None:
    """Raise InputError where the run's own language model may have a head that was drawn at random."""
    pretrain = load_params(Path("params.yaml")).pretrain
    beside = pretrain.contrastive is not None and pretrain.contrastive.masked_lm > 0
    if pretrain.max_tokens == 0 or (pretrain.objective == "contrastive" and not beside):
        what = "pretrain.max_tokens is 0" if pretrain.max_tokens == 0 else "pretrain.contrastive.masked_lm is 0"
        raise InputError(f"{PRETRAINED}: {what}, expected a head that was trained here, or --model FOLDER")


def _preference(folder: Path) -> Callable[[Any], float]:
    from pipeline.architectures import ARCHITECTURES, family_of
    from pipeline.evaluation.stereotypes import causal_preference, masked_preference
    from pipeline.objectives.masked_lm import MaskedLMLoss
    from pipeline.tokenization.folder import load_tokenizer, read_max_length, special_ids

    tokenizer, special_tokens = load_tokenizer(folder)
    ids, family = special_ids(tokenizer, special_tokens), family_of(folder)
    heads = ARCHITECTURES[family]().HEADS
    masked, limit = "masked_lm" in heads, read_max_length(folder)
    # what ends a document of a causal LM begins the next one
    first, last = (ids[f"{'cls' if masked else 'sep'}_token_id"], ids["sep_token_id"])

    def encode(text: str) -> list[int]:
        found = [first, *tokenizer.encode(text, add_special_tokens=False).ids, last]
        if len(found) > limit:
            raise InputError(f"{text[:40]!r}…: {len(found)} tokens, expected at most {limit}, those of {folder}")
        return found

    if masked:
        return masked_preference(MaskedLMLoss(_loaded(heads["masked_lm"], folder)), encode, ids["mask_token_id"])
    if "causal_lm" in heads:
        return causal_preference(_loaded(heads["causal_lm"], folder), encode)
    raise InputError(f"{folder}: a model of the family {family}, expected one with a masked or a causal LM")


def _loaded(kind: Any, folder: Path) -> Any:
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()  # the report names a pooler, which no language model reads
    model, loading = kind.from_pretrained(folder, dtype=torch.float32, local_files_only=True, output_loading_info=True)
    if loading["missing_keys"]:
        missing = min(loading["missing_keys"])
        raise InputError(f"{folder}: no weights for {missing}, expected those of a language model with its head")
    return model.eval()
