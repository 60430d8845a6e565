"""What contrastive pretraining and sentence similarity ask of params.yaml, and what they refuse by its path."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.files import InputError
from pipeline.params import check_params, read_yaml

ROOT = Path(__file__).parents[2]


def values(**changes: Any) -> dict[str, Any]:
    """Return the recipe's values; changes are by dotted path, dots as `__`."""
    found = read_yaml(ROOT / "recipes/sts-simcse.yaml")
    for path, value in changes.items():
        *parents, last = path.split("__")
        section = found
        for parent in parents:
            section = section[parent]
        section[last] = value
    return found


MASKS = {"pretrain__mask_share": 0.15, "pretrain__whole_word_mask": False}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"tasks__similarity__distill__losses__soft_labels": 1.0},
            "tasks.similarity: distill.losses.soft_labels: must be 0 for sentence_similarity, got 1.0",
        ),
        (
            {"tasks__similarity__finetune__label_smoothing": 0.1},
            "tasks.similarity: finetune.label_smoothing: must be 0 for sentence_similarity, got 0.1",
        ),
        (
            {"tasks__similarity__gate__metric": "accuracy"},
            "tasks.similarity: gate.metric must be one of spearman for sentence_similarity, got accuracy",
        ),
        (
            {"datasets__sts_b__columns__pair": None},
            "datasets.sts_b.columns.pair: must be given for tasks.similarity, a sentence_similarity, got null",
        ),
        ({"pretrain__contrastive__masked_lm": 1.0}, "pretrain.mask_share: must be given for contrastive, got null"),
        (MASKS, "pretrain.mask_share: must be null for contrastive, got 0.15"),
        (MASKS | {"pretrain__contrastive": None}, "pretrain.contrastive: must be given for contrastive, got null"),
        (
            {"pretrain__architecture__dropout": 0.0},
            "pretrain.architecture.dropout: must be > 0 for contrastive, else both readings of a sentence are the "
            "same, got 0.0",
        ),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as error:
        check_params(values(**changes), Path("params.yaml"))
    assert str(error.value) == f"params.yaml: {expected}"


def test_pairs_need_no_dropout() -> None:
    pairs = {"datasets__imdb__columns": {"text": "text", "pair": "other", "source": "source"}}
    found = check_params(values(**pairs, pretrain__architecture__dropout=0.0), Path("params.yaml"))
    assert found.pretrain.contrastive is not None
