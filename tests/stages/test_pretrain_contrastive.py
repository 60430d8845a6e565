"""Contrastive pretraining through the stage: from random weights, and on from what masked LM left."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.files import InputError, content_hash, read_json, write_json
from tests.stages.test_pretrain import _adopt, _params, _run, project

__all__ = ["project"]  # the fixture
ALONE = {
    "objective": "contrastive",
    "mask_share": None,
    "whole_word_mask": None,
    "contrastive": {"temperature": 0.05, "pooling": "mean", "masked_lm": 0.0},
}
WITH_MASKED_LM = ALONE | {
    "mask_share": 0.15,
    "whole_word_mask": False,
    "contrastive": {"temperature": 0.05, "pooling": "mean", "masked_lm": 1.0},
}


def write_sentences(root: Path) -> None:
    """Write sentences of 5 to 31 tokens, padded, in place of the packed sequences."""
    chance = np.random.default_rng(0)
    for prefix, count in (("", 60), ("dev_", 20)):
        ids = chance.integers(5, 15, size=(count, 1, 32)).astype(np.uint16)
        ids[np.arange(32) >= chance.integers(5, 32, size=(count, 1, 1))] = 0
        np.save(root / "tokens" / f"{prefix}input_ids.npy", ids)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_the_loss_falls_and_the_same_seed_gives_the_same_bytes(project: Path, family: str) -> None:
    write_sentences(project)
    params = _params(family, embeddings="cooccurrence", max_tokens=5_000, **WITH_MASKED_LM)
    history = _run(params, project)
    assert history[-1]["loss"] < history[0]["loss"] - 0.5
    assert history[-2]["tokens"] <= 5_500  # each sentence once, however often it is read
    _run(params, project, "again")
    assert content_hash(project / "pretrained") == content_hash(project / "again")


def test_it_goes_on_from_masked_lm_where_that_model_has_dropout(project: Path) -> None:
    _run(_params(max_tokens=512), project, "first")
    write_sentences(project)
    _adopt(project, "first", **ALONE | {"max_tokens": 2_000})
    history = read_json(project / "adopted.json")
    assert history[-1]["loss"] < history[0]["loss"]
    assert read_json(project / "adopted/config.json")["architectures"] == ["BertForMaskedLM"]
    config = read_json(project / "first/config.json")
    write_json(project / "first/config.json", config | {"hidden_dropout_prob": 0.0})
    with pytest.raises(InputError, match=r"^init_from: .*config\.json: hidden_dropout_prob is 0, expected more for"):
        _adopt(project, "first", **ALONE | {"max_tokens": 2_000})
