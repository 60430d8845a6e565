"""The shape of a model that is already there, as its config.json says. No torch: a run is checked by it beforehand."""

from pathlib import Path

from pipeline.architectures import family_of
from pipeline.architectures.limits import longest_row
from pipeline.files import InputError, read_json
from pipeline.params.fit import TeacherShape

USUAL = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
# transformers' names for layers, width, heads and feed-forward width where they are others; of the encoder
OTHERS = {
    "gpt2": ("n_layer", "n_embd", "n_head", "n_inner"),
    "marian": ("encoder_layers", "d_model", "encoder_attention_heads", "encoder_ffn_dim"),
    "bart": ("encoder_layers", "d_model", "encoder_attention_heads", "encoder_ffn_dim"),
    "t5": ("num_layers", "d_model", "num_heads", "d_ff"),
}


def shape_of(folder: Path) -> TeacherShape:
    """Return the shape of the model in `folder`; raise InputError where it is of no known family or does not say it."""
    family, config = family_of(folder), read_json(folder / "config.json")
    names = OTHERS.get(config["model_type"], USUAL)
    layers, width, heads, inner = (config.get(name) for name in names)
    if inner is None and config["model_type"] == "gpt2":
        inner = 4 * (width or 0)  # as GPT-2 was published
    for name, size in zip(names, (layers, width, heads, inner), strict=True):
        if type(size) is not int or size < 1:
            raise InputError(f"{folder}/config.json: {name} is {size}, expected a whole number from 1 on")
    return TeacherShape(family, layers, width, heads, inner, longest_row(config), config.get("vocab_size"))
