"""Model families by the name that params.yaml gives them; the chosen one is imported when it is called for.

`ARCHITECTURES["bert"]()` is a module with HEADS (the model class for each objective and type of task) and `build`
(random weights); that of a family of language models also has `load` (weights of a folder) and `dropout_settings`
(where its configuration keeps a model's dropout).
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from pipeline.files import InputError, read_json


def _bert() -> ModuleType:
    from pipeline.architectures import bert

    return bert


def _roberta() -> ModuleType:
    from pipeline.architectures import roberta

    return roberta


def _modernbert() -> ModuleType:
    from pipeline.architectures import modernbert

    return modernbert


def _gpt() -> ModuleType:
    from pipeline.architectures import gpt

    return gpt


def _llama() -> ModuleType:
    from pipeline.architectures import llama

    return llama


def _bilstm() -> ModuleType:
    from pipeline.architectures import bilstm

    return bilstm


def _encoder_decoder() -> ModuleType:
    from pipeline.architectures import encoder_decoder

    return encoder_decoder


ARCHITECTURES: dict[str, Callable[[], ModuleType]] = {
    "bert": _bert,
    "roberta": _roberta,
    "modernbert": _modernbert,
    "gpt": _gpt,
    "llama": _llama,
    "encoder_decoder": _encoder_decoder,
    "bilstm": _bilstm,
}
MODEL_TYPES = {  # transformers' names for them
    **{name: name for name in ("bert", "roberta", "modernbert", "llama", "bilstm")},
    "gpt2": "gpt",
    **dict.fromkeys(("marian", "bart", "t5"), "encoder_decoder"),
}


def family_of(folder: Path) -> str:
    """Return the key in ARCHITECTURES of the model in `folder`; raise InputError where it is none of them."""
    path = folder / "config.json"
    config = read_json(path)
    found = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(found, str) or found not in MODEL_TYPES:
        raise InputError(f"{path}: model_type is {found}, expected one of {', '.join(MODEL_TYPES)}")
    return MODEL_TYPES[found]
