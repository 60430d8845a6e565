"""What a teacher writes is asked for once, for one teacher, one set of rows and one way of writing."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.architectures import encoder_decoder
from pipeline.distillation.written import cached_texts
from pipeline.params import ArchitectureParams, GenerationParams
from pipeline.tasks.generation import generate, generation_config
from pipeline.tasks.writing import with_written
from pipeline.tokenization.ragged import TokenRows

SHAPE = ArchitectureParams(
    family="encoder_decoder", layers=1, decoder_layers=1, hidden_size=16, attention_heads=2, intermediate_size=24,
    max_length=20, dropout=0.0,
)  # fmt: skip
ROWS = TokenRows.from_rows([[2, 7, 8, 9, 10, 3], [2, 11, 3], [2, 12, 13, 3]], [-1, -1, -1], np.dtype(np.uint16))


def teacher(beams: int = 1) -> Any:
    torch.manual_seed(3)
    model = encoder_decoder.build(SHAPE, head="translation", vocabulary_size=20, pad_token_id=0, eos_token_id=3)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.generation_config = generation_config(generation(beams), model)
    return model


def generation(beams: int) -> GenerationParams:
    return GenerationParams(max_tokens=6, beams=beams, length_penalty=1.0, temperature=0.0, top_p=1.0)


def written(model: Any, rows: Any) -> list[np.ndarray]:
    return generate(model, rows, batch_size=2, dtype=torch.float32)


def test_the_likeliest_token_is_taken_each_time_until_the_end_or_the_limit() -> None:
    model = teacher()
    for row, found in zip(ROWS, written(model, ROWS), strict=True):
        ids = [0]
        while len(ids) <= 6 and ids[-1] != 3:
            inputs = torch.from_numpy(row.astype(np.int64))[None]
            with torch.no_grad():
                logits = model(input_ids=inputs, decoder_input_ids=torch.tensor([ids])).logits[0, -1]
            logits[0] = -torch.inf  # a text holds no padding
            ids.append(int(logits.argmax()))
        assert found.tolist() == ids[1:]


def test_texts_are_cached_by_content(tmp_path: Path) -> None:
    asked: list[str] = []

    def write(model: Any, rows: Any, split: str) -> list[np.ndarray]:
        asked.append(split)
        return written(model, rows)

    def texts(key: str, beams: int) -> dict[str, list[np.ndarray]]:
        splits = {"train": ROWS, "transfer": TokenRows.from_rows([], [], np.dtype(np.uint16))}
        return cached_texts(
            splits, lambda: teacher(beams), write, folder=tmp_path, inputs={"teacher": key},
            generation=generation(beams).model_dump(), dtype=torch.float32,
        )  # fmt: skip

    first = texts("a", 1)
    assert asked == ["train", "transfer"]
    again = texts("a", 1)
    assert asked == ["train", "transfer"]
    assert [ids.tolist() for ids in again["train"]] == [ids.tolist() for ids in first["train"]]
    assert first["transfer"] == again["transfer"] == []
    texts("a", 2)
    texts("b", 1)
    assert len(asked) == 6
    next(tmp_path.glob("*/train/ids.npy")).write_bytes(b"broken")
    texts("a", 1), texts("b", 1), texts("a", 2)
    assert len(asked) == 8


def test_written_texts_become_the_labels_of_rows() -> None:
    rows = with_written(ROWS, [np.array([5, 3]), np.array([6]), np.array([7, 8, 3])])
    assert rows.labels.tolist() == [5, 3, 6, 7, 8, 3]
    assert rows.targets.tolist() == [0, 2, 3, 6]
    assert rows.positions.tolist() == [0, 1, 0, 0, 1, 2]
    assert rows.ids is ROWS.ids
