"""What somebody does who has the published models and nothing else of this project: transformers and MLflow alone.

Run as a program: a JSON list `[function, arguments…]` a line in, what it returns a line out, as JSON.
"""

import json
import sys
from typing import Any


def loss(folder: str, batch: dict[str, Any], temperature: float) -> float:
    """Return transformers' own loss of a batch that has labels; of one without, that of SimCSE's equation 1."""
    import torch
    import transformers

    given = {name: torch.tensor(value) for name, value in batch.items()}
    (kind,) = transformers.AutoConfig.from_pretrained(folder).architectures
    with torch.inference_mode():
        if "labels" in given:
            return float(getattr(transformers, kind).from_pretrained(folder).eval()(**given).loss)
        model = transformers.AutoModel.from_pretrained(folder).eval()
        mask = given["attention_mask"][:, :, None]
        vectors = (model(**given).last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
        first, second = torch.nn.functional.normalize(vectors, dim=1).chunk(2)
        cosines = first @ second.T / temperature
        return float(torch.nn.functional.cross_entropy(cosines, torch.arange(len(cosines))))


def answers(tracking_uri: str, model_uri: str, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return what a registered model answers to rows."""
    import mlflow
    import pandas as pd

    mlflow.set_tracking_uri(tracking_uri)
    model = mlflow.pyfunc.load_model(model_uri)
    found: list[dict[str, Any]] = model.predict(pd.DataFrame(rows)).to_dict(orient="records")
    assert not any(name.split(".")[0] == "pipeline" for name in sys.modules)
    return found


if __name__ == "__main__":
    out, sys.stdout = sys.stdout, sys.stderr  # nothing but what is returned
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps({"loss": loss, "answers": answers}[name](*arguments)), file=out, flush=True)
