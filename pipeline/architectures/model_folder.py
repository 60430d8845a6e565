"""A model as a folder that `from_pretrained` loads: configuration, safetensors, tokenizer, nothing else."""

import shutil
from pathlib import Path

from transformers import PreTrainedModel

from pipeline.files import read_json, replacing, write_json

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
TOKEN_TYPES = "token_type_ids"


def publish_model(model: PreTrainedModel, tokenizer: Path, out: Path) -> None:
    """Write `model` and the tokenizer files of the folder `tokenizer` to `out`, whole or not at all.

    For a model without token types the tokenizer makes none: GPT-2 would take them for words and add their embeddings.
    """
    with replacing(out) as draft:
        model.save_pretrained(draft)
        for name in TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, draft / name)
        if getattr(model.config, "type_vocab_size", 1) == 1:
            settings = read_json(draft / "tokenizer_config.json")
            inputs = [name for name in settings["model_input_names"] if name != TOKEN_TYPES]
            write_json(draft / "tokenizer_config.json", settings | {"model_input_names": inputs})
