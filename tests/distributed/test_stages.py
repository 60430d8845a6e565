"""`finetune` and `distill` in two processes end where one process does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.files import read_json
from pipeline.params import Params
from tests.distributed.training_project import run, write_params
from tests.stages import test_distill as distilling
from tests.stages import test_finetune as finetuning

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FINETUNE = (
    "python -m pipeline.stages.finetune --task sentiment --pretrained models/pretrained --train tokens/train "
    "--counterfactuals tokens/counterfactuals --dev tokens/dev --out models/two --history reports/two.json"
)
DISTILL = (
    "python -m pipeline.stages.distill --task sentiment --teacher models/teacher --teacher-tokens tokens/teacher "
    "--student-tokens tokens/student --student-tokenizer models/student_tokenizer --pretrained-student none "
    "--out models/two --undistilled models/untwo --soft-labels soft/two --history reports/two.json"
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # what MLflow shows has its own tests


def in_two_processes(params: Params, distributed: str, command: str) -> None:
    two = params.runtime.model_copy(update={"distributed": distributed, "processes": 2})
    write_params(Path(), params.model_copy(update={"runtime": two}))
    run(Path(), command)


def assert_same(one: str, two: str) -> None:
    histories = [read_json(Path(f"reports/{name}.json")) for name in (one, two)]
    losses = [[record["loss"] for record in history if record["split"] == "train"] for history in histories]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4, atol=1e-6)
    assert_same_weights(one, two)


def assert_same_weights(one: str, two: str) -> None:
    expected, found = (load_file(f"models/{name}/model.safetensors") for name in (one, two))
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        # it adds the same to all scores of a query, so its gradient is nothing but rounding, of which Adam makes steps
        if name.endswith("attention.self.key.bias"):
            continue
        torch.testing.assert_close(
            found[name], weight, rtol=0, atol=1e-4, msg=lambda line, name=name: f"{name}: {line}"
        )


@pytest.mark.parametrize(("distributed", "teachers"), [("ddp", 2), ("fsdp", 1)])
def test_the_teacher(distributed: str, teachers: int) -> None:
    finetuning.write_pretrained(Path("models/pretrained"))
    for split, count, seed in (("train", 41, 0), ("dev", 12, 1), ("counterfactuals", 0, 2)):  # a batch of one row
        finetuning.token_rows(count, seed).save(Path("tokens") / split)
    params = finetuning.params(teachers=teachers)
    finetuning.finetune(params, "one")
    in_two_processes(params, distributed, FINETUNE)
    assert_same("one", "two")
    for seed in range(18, 17 + teachers):
        assert_same_weights(f"one/seed_{seed}", f"two/seed_{seed}")


def test_the_student_and_its_twin() -> None:
    distilling.write_teacher(Path("models/teacher"))
    distilling.write_tokens(list(range(len(distilling.VOCABULARY))))
    params = distilling.params(soft_labels=1.0, logits=1.0, hard_labels=0.5, hidden_states=0.1)
    distilling.distill(params, "one")
    in_two_processes(params, "ddp", DISTILL)
    assert_same("one", "two")
    assert_same_weights("unone", "untwo")
    for split in distilling.SPLITS:
        assert Path(f"soft/two/{split}.npy").read_bytes() == Path(f"soft/one/{split}.npy").read_bytes()
