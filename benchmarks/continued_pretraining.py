"""Does continued pretraining make a better teacher? Each task's teacher from the weights as they came and continued.

    python benchmarks/continued_pretraining.py [--tokens 1000000] [--seeds 3]

Needs what `make run` leaves in data/tokens and models. The weights of init_from are adopted, and continued with
`pretrain.objective` on `--tokens` of the corpus; from each, every task's teacher is fine-tuned with several seeds. The
accuracies on dev go to reports/pretrain/comparison.json, which reports/index.html shows.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from pipeline.files import read_json, write_json
from pipeline.params import Params, load_params
from pipeline.stages import finetune, pretrain

TOKENS, MODELS = Path("data/tokens"), Path("models")


def pretrained(params: Params, tokens: int, scratch: Path) -> Path:
    """Return the folder of the language model after `tokens` tokens of the corpus; 0 adopts the first weights."""
    out = scratch / f"pretrained-{tokens}"
    pretrain.run(
        params.model_copy(update={"pretrain": params.pretrain.model_copy(update={"max_tokens": tokens})}),
        tokens=TOKENS / "corpus",
        tokenizer=MODELS / "tokenizer",
        init_from=Path(params.init_from.path),
        out=out,
        history=scratch / "history.json",
    )
    return out


def dev_accuracy(params: Params, task: str, model: Path, seed: int, scratch: Path) -> float:
    """Return the best dev accuracy of a teacher of `task` that starts from `model`."""
    history = scratch / "history.json"
    finetune.run(
        params.model_copy(update={"runtime": params.runtime.model_copy(update={"seed": seed})}),
        task=task,
        pretrained=model,
        train=TOKENS / task / "teacher/train",
        counterfactuals=TOKENS / task / "teacher/counterfactuals",
        dev=TOKENS / task / "teacher/dev",
        out=scratch / "teacher",
        history=history,
    )
    return round(max(record["accuracy"] for record in read_json(history) if record["split"] == "dev"), 4)


def main() -> None:
    """Run the comparison and write its file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    params = load_params(Path("params.yaml"))
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        models = {"without": pretrained(params, 0, scratch), "with": pretrained(params, options.tokens, scratch)}
        for task in params.tasks:
            for seed in range(params.runtime.seed, params.runtime.seed + options.seeds):
                scores = {name: dev_accuracy(params, task, model, seed, scratch) for name, model in models.items()}
                records.append({"task": task, "seed": seed, **scores})
                print(records[-1], flush=True)
    used = {"corpus": params.corpus.dataset, "init_from": params.init_from.model_dump(mode="json")}
    comparison = used | {"tokens": options.tokens, "records": records}
    write_json(Path("reports/pretrain/comparison.json"), comparison)


if __name__ == "__main__":
    main()
