"""A model as a folder that `from_pretrained` loads: configuration, safetensors, tokenizer, nothing else."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedModel

from pipeline.files import read_json, replacing, write_json

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
TOKEN_TYPES = "token_type_ids"
OF_SEED = "seed_"


def folders_averaged(folder: Path) -> list[Path]:
    """Return the folders of the models that answer as one: `folder` itself, and those of further seeds in it."""
    others = folder.glob(f"{OF_SEED}*")
    return [folder, *sorted(others, key=lambda other: int(other.name.removeprefix(OF_SEED)))]


def publish_model(
    model: PreTrainedModel, tokenizer: Path, out: Path, others: Mapping[int, PreTrainedModel] | None = None
) -> None:
    """Write `model` and the tokenizer files of the folder `tokenizer` to `out`, whole or not at all.

    others: by seed, further models that it answers with as one (`folders_averaged`).
    For a model without token types the tokenizer makes none: GPT-2 would take them for words and add their embeddings.
    """
    with replacing(out) as draft:
        model.save_pretrained(draft)
        for seed, other in (others or {}).items():
            other.save_pretrained(draft / f"{OF_SEED}{seed}")
        for name in TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, draft / name)
        if getattr(model.config, "type_vocab_size", 1) == 1:
            settings = read_json(draft / "tokenizer_config.json")
            inputs = [name for name in settings["model_input_names"] if name != TOKEN_TYPES]
            write_json(draft / "tokenizer_config.json", settings | {"model_input_names": inputs})
