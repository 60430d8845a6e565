"""A trained model as a folder that `from_pretrained` loads: configuration, safetensors, tokenizer, nothing else."""

import shutil
from pathlib import Path

from transformers import PreTrainedModel

from pipeline.files import replacing

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def publish_model(model: PreTrainedModel, tokenizer: Path, out: Path) -> None:
    """Write `model` and the tokenizer files of the folder `tokenizer` to `out`, whole or not at all."""
    with replacing(out) as draft:
        model.save_pretrained(draft)
        for name in TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, draft / name)
