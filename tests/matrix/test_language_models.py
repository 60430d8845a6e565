"""Every family by every objective it can be pretrained by: real text, the real stages, a folder that others load."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.architectures import ARCHITECTURES, MODEL_TYPES
from pipeline.files import read_json
from pipeline.objectives import OBJECTIVES as BY_NAME
from pipeline.objectives.vocabulary import Vocabulary
from pipeline.params import Params
from pipeline.params.families import OBJECTIVES
from pipeline.tokenization.folder import load_tokenizer, special_ids
from tests.matrix import project
from tests.matrix.conftest import Ask
from tests.matrix.trivial import trivial_pretraining_loss

pytestmark = pytest.mark.slow
CELLS = [(model_type, objective) for model_type, family in MODEL_TYPES.items() for objective in OBJECTIVES[family]]
PIECES = 300  # of the tokenizer: next to letters, which a model of this size soon learns to foresee
SAMPLE = 128  # sequences, as the stage reads


@pytest.mark.parametrize(("model_type", "objective"), CELLS)
def test_held_out_text_costs_less_than_a_trivial_predictor_pays(
    model_type: str, objective: str, elsewhere: Ask
) -> None:
    # of pairs of texts: a sentence that is read twice is too easily told from others
    corpus = "excerpts" if objective == "contrastive" else project.CORPUS
    params = project.settings(model_type, objective, pieces=PIECES, steps=250, lowercase=True, corpus=corpus)
    folder = f"language_models/{model_type}/{objective}"
    project.pretrain(params, model_type, folder)
    found = [
        record["loss"]
        for record in read_json(Path(folder) / "reports/pretrain/history.json")
        if record["split"] == "dev"
    ]
    train, dev = (batches(params, Path(folder), prefix) for prefix in ("", "dev_"))
    assert found[-1] < min(found[0], trivial_pretraining_loss(objective, train, dev))

    published = Path(folder) / "models/pretrained"
    model = ARCHITECTURES[MODEL_TYPES[model_type]]().load(published, head=objective)
    with torch.inference_mode():
        said = learnt(params, Path(folder)).loss(model.eval())(**dev[0])
    temperature = params.pretrain.contrastive.temperature if params.pretrain.contrastive else 1.0
    batch = {name: value.tolist() for name, value in as_transformers_reads(dev[0]).items()}
    there = elsewhere("loss", str(published.absolute()), batch, temperature)
    assert there == pytest.approx(float(said["loss"] / said["count"]), rel=1e-5)


def learnt(params: Params, folder: Path) -> Any:
    """Return the objective of a project."""
    tokenizer, special_tokens = load_tokenizer(folder / "models/tokenizer")
    vocabulary = Vocabulary(
        folder / "models/tokenizer", tokenizer.get_vocab_size(), special_ids(tokenizer, special_tokens)
    )
    return BY_NAME[params.pretrain.objective]().from_params(params.pretrain, vocabulary)


def batches(params: Params, folder: Path, prefix: str) -> list[dict[str, torch.Tensor]]:
    """Return batches of a split of the corpus, as many as the stage reads of dev."""
    objective, size = learnt(params, folder), params.pretrain.training.batch_size
    arrays = {name: np.load(folder / f"data/tokens/corpus/{prefix}{name}.npy") for name in objective.arrays}
    rows, masks = objective.rows(**arrays), np.random.default_rng([params.runtime.seed, 2])
    sample = [rows[row] for row in range(min(SAMPLE, len(rows)))]
    return [objective.collate(sample[start : start + size], masks) for start in range(0, len(sample), size)]


def as_transformers_reads(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a batch with a label at each token, -100 where there is none, as transformers' models take it."""
    names = {"next_sentence_labels": "next_sentence_label"}
    given = {names.get(name, name): value for name, value in batch.items()}
    if "positions" in given:
        predicted = given.pop("positions") + ("position_ids" in given)  # transformers moves the labels of causal LM
        labels = torch.full((given["input_ids"].numel(),), -100)
        labels[predicted] = given["labels"]
        given["labels"] = labels.view_as(given["input_ids"])
    return given
