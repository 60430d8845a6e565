"""Two processes compute what one does: the same curve, the same weights, whoever holds them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM

from pipeline.files import read_json
from tests.distributed.training_project import HISTORY, PRETRAINED, STEPS, make_project, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after one process has trained."""
    folder = make_project(tmp_path_factory.mktemp("one") / "project")
    run(folder)
    return folder


def curve(folder: Path) -> list[float]:
    return [record["loss"] for record in read_json(folder / HISTORY) if record["split"] == "train"]


@pytest.mark.parametrize("distributed", ["ddp", "fsdp"])
def test_two_processes_train_as_one_does(distributed: str, alone: Path, tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", distributed=distributed, processes=2)
    printed = run(folder)

    assert len(curve(folder)) == len(curve(alone)) == STEPS
    np.testing.assert_allclose(curve(folder)[:50], curve(alone)[:50], rtol=1e-6)
    two, one = (load_file(project / PRETRAINED) for project in (folder, alone))
    assert two.keys() == one.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=0, atol=1e-4)

    ids = torch.arange(5, 15)[None]
    models = [AutoModelForMaskedLM.from_pretrained((project / PRETRAINED).parent) for project in (folder, alone)]
    with torch.inference_mode():
        torch.testing.assert_close(models[0](ids).logits, models[1](ids).logits, rtol=0, atol=1e-3)

    assert printed.count("dev loss") == 1  # the first process speaks for both
    locks = {path.relative_to(project) for project in (folder, alone) for path in project.rglob("*.lock")}
    left = [{path.relative_to(project) for path in project.rglob("*")} - locks for project in (folder, alone)]
    assert left[0] == left[1]
