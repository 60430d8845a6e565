"""A model with the weights of a folder; what the folder lacks of a head is drawn at random."""

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.utils import logging

from pipeline.architectures.attention import attention_implementation
from pipeline.files import InputError, read_json


def load_weights(kind: type[PreTrainedModel], folder: Path, **settings: Any) -> tuple[Any, set[str]]:
    """Return a model of the class `kind` in float32, and the names of the pooler's weights that `folder` lacks.

    Weights of the head are drawn from torch's generator where the folder has none; those that `kind` has no place for
    are left out. `settings` replace keys of the model's configuration.
    Raises InputError where the folder holds another family or not all of an encoder.
    """
    configuration: Any = kind.config_class
    family, expected = read_json(folder / "config.json").get("model_type"), configuration.model_type
    if family != expected:
        raise InputError(f"{folder}/config.json: model_type is {family}, expected {expected}")
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the report of new and unused weights is what the lines below deal with
    try:
        settings |= {"attn_implementation": attention_implementation(), "dtype": torch.float32}
        loaded: Any = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **settings)
    finally:
        logging.set_verbosity(verbosity)
    model, report = loaded
    prefix = f"{kind.base_model_prefix}."
    missing = {key for key in report["missing_keys"] if key.startswith(prefix)}
    encoder_missing = {key for key in missing if not key.startswith(f"{prefix}pooler.")}
    if encoder_missing or report["mismatched_keys"]:
        name = min(encoder_missing or {str(key) for key in report["mismatched_keys"]})
        raise InputError(f"{folder}: no fitting weights for {name}, expected those of a whole encoder")
    return model, missing
