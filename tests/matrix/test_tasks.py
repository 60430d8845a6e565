"""Every type of task from source files to a registered student, which answers the same where this project is not."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.evaluation.figures import FIGURES
from pipeline.files import read_json
from pipeline.params.task_types import TASK_TYPES
from pipeline.tokenization.ragged import TokenRows
from tests.matrix import project
from tests.matrix.conftest import Ask, LanguageModel
from tests.matrix.trivial import trivial_task_loss

pytestmark = pytest.mark.slow
# the baseline that knows nothing of a row; where there is none it says nothing, or the same of all rows: 0
TRIVIAL = {
    "text_classification": "majority",
    "multi_label_classification": "same_labels",
    "text_generation": "character_unigram",
    "translation": "copy",
}
# of two types of task that write for a text, one by an encoder-decoder and one by a decoder alone; masked words are
# predicted by a masked language model
CHOSEN = {"talks": "gpt2", "reviews": "bert"}
CELLS = [(name, CHOSEN.get(name, project.carriers(name)[-1])) for name in project.TASKS]


def test_every_type_of_task_has_rows() -> None:
    assert {type_ for type_, *_ in project.TASKS.values()} == set(TASK_TYPES)


@pytest.mark.parametrize(("name", "model_type"), CELLS)
def test_what_a_task_brings_is_better_than_a_trivial_predictor_and_answers_the_same_elsewhere(
    name: str, model_type: str, language_model: LanguageModel, elsewhere: Ask, ingested: Path
) -> None:
    params, folder = language_model(model_type)
    for stage in ("tokenize", "finetune", "distill_pretrained", "distill", "export", "evaluate", "register"):
        project.run(stage, params, folder, name)
    type_, reports = project.TASKS[name][0], Path(folder) / "reports" / name
    made = pq.read_table(Path(folder) / f"data/transfer/{name}.parquet").num_rows
    assert bool(made) == bool(params.tasks[name].transfer.replaced) == (name == "reviews")
    tokens = {split: TokenRows.load(Path(folder) / f"data/tokens/{name}/teacher/{split}") for split in ("train", "dev")}
    losses = [record["loss"] for record in read_json(reports / "finetune.json") if record["split"] == "dev"]
    assert min(losses) < trivial_task_loss(type_, **tokens)
    found, (metric, *_) = read_json(reports / "evaluation.json"), TASK_TYPES[type_].metrics
    trivial = found["baselines"][TRIVIAL[type_]][metric] if type_ in TRIVIAL else 0.0
    for model in ("teacher", "student"):
        assert FIGURES[metric].sign * (found[model][metric] - trivial) > 0, model

    said = pq.read_table(reports / "predictions.parquet").to_pydict()
    rows = [
        {"text": text} | ({"pair": pair} if pair else {})
        for text, pair in zip(said["text"], said.get("pair", [None] * len(said["text"])), strict=True)
    ]
    if type_ == "text_generation":  # its answer to a row is what the row costs: what it writes is beside it
        rows = [{"text": sample["text"]} for sample in found["samples"]]
        said = {"student": [sample["student"] for sample in found["samples"]]}
    served = elsewhere("answers", f"sqlite:///{ingested}/mlflow.db", f"models:/{name}@champion", rows)
    assert [answer_in(type_, answer, found["labels"]) for answer in served] == said["student"]


def answer_in(type_: str, served: dict[str, Any], labels: list[str]) -> Any:
    """Return the answer of a served model as predictions.parquet has it."""
    if type_ == "text_classification":
        return labels.index(served["label"])
    if type_ == "multi_label_classification":
        return sorted(said["label"] for said in served["labels"])
    if type_ == "token_classification":
        return [{key: span[key] for key in ("start", "end", "label")} for span in served["spans"]]
    if type_ == "sentence_similarity":
        return pytest.approx(served["similarity"], abs=1e-5)
    (answer,) = (served[key] for key in ("answer", "continuation", "translation", "summary") if key in served)
    return answer
