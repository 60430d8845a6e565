"""A folder with the student as a graph, next to which nothing else is needed to answer."""

import shutil
from pathlib import Path
from typing import Literal

from pipeline.architectures.exported import GRAPH
from pipeline.architectures.model_folder import TOKENIZER_FILES
from pipeline.exporting.arithmetic import Arithmetic, Float32, Int8
from pipeline.exporting.calibration import input_ranges
from pipeline.exporting.encoder import Encoder, write_graph
from pipeline.exporting.graph import write_model
from pipeline.training.batches import Rows

Format = Literal["int8", "float32"]


def export_model(folder: Path, out: Path, format_: Format, rows: Rows, calibration_rows: int) -> None:
    """Write into the folder `out` the trained model of a `save_pretrained` folder as a graph, its configuration and its
    tokenizer.

    rows: token rows of the kind that it will read, which say whether a row holds two texts and, for 8 bits, in which
    ranges the states of a layer lie; `calibration_rows` of them are looked at. Raises InputError where the model is of
    another family.
    """
    encoder = Encoder(folder)
    pairs = bool((rows.seconds < rows.lengths).any())
    arithmetic: Arithmetic = Float32()
    if format_ == "int8":
        arithmetic = Int8(input_ranges(encoder, rows, calibration_rows, pairs=pairs))
    out.mkdir(parents=True, exist_ok=True)
    write_model(write_graph(encoder, arithmetic, pairs=pairs), out / GRAPH)
    for name in ("config.json", *TOKENIZER_FILES):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
