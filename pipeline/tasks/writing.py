"""What all tasks share whose answer is a text that is written for another."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedModel

from pipeline.architectures import ARCHITECTURES, family_of
from pipeline.files import InputError
from pipeline.objectives.completion import CompletionLoss
from pipeline.objectives.sequence_to_sequence import SequenceToSequenceLoss, collate_sequences
from pipeline.params import GenerationParams, TaskParams
from pipeline.tasks.generation import generate, generation_config
from pipeline.tasks.labelling import RowSequence, Said
from pipeline.training.batches import Row, Rows
from pipeline.training.prediction import mean_loss


class WritingTask:
    """A model that reads a text and writes another: trained by teacher forcing, asked by searching for the likeliest.

    An encoder-decoder, or a decoder alone, which takes the one text for a prompt and the other for its completion.
    The tokens of a row's labels are those of the text to be written, its end token the last. answer: what a text that
    was written is called. head: the head's name among an architecture's HEADS.
    """

    best: tuple[str, Literal["max", "min"]] = ("loss", "min")
    classes: Sequence[str] = ()
    labels: Sequence[str] = ()
    head: str
    answer: str

    def __init__(self, generation: GenerationParams) -> None:
        self.generation = generation

    @classmethod
    def from_params(cls, task: TaskParams) -> Self:
        """Return the task that a section of `tasks` describes."""
        assert task.generation is not None  # pipeline.params refuses null for a task that writes
        return cls(task.generation)

    @property
    def names(self) -> dict[str, Any]:
        """What a model's configuration says of the task: by transformers' key, what it was made for."""
        return {"task_specific_params": {self.head: {"answer": self.answer}}}

    def from_pretrained(self, folder: Path, *, dropout: float, seed: int) -> PreTrainedModel:
        """Return the language model in `folder`, to be trained with this dropout; nothing is drawn from `seed`.

        Raises InputError where its family writes no texts for others, or where weights are missing.
        """
        architecture = self._architecture(folder)
        model: PreTrainedModel = architecture.load(folder, head=self.head, **architecture.dropout_settings(dropout))
        model.config.update(self.names)
        return model

    def load(self, folder: Path, **settings: Any) -> PreTrainedModel:
        """Return the trained model in `folder`, in float32; `settings` are further keywords of `from_pretrained`."""
        return self.described(self._architecture(folder).load(folder, head=self.head, **settings))

    def _architecture(self, folder: Path) -> Any:
        family = family_of(folder)
        architecture = ARCHITECTURES[family]()
        if self.head not in architecture.HEADS:
            raise InputError(f"{folder}: a {family} carries no head for {self.head}, expected another family")
        return architecture

    def described(self, model: Any) -> Any:
        """Return `model`, which from now on writes as the task says, here and wherever it is loaded from a folder."""
        model.config.update(self.names)
        model.generation_config = generation_config(self.generation, model)
        return model

    def measured_against(self, actual: Any, tokens: Rows, texts: Sequence[str]) -> Any:
        """Return what answers are measured against: the texts that were to be written."""
        return actual

    def start(self, model: PreTrainedModel, tokens: Rows) -> None:
        """Do nothing: there is no new head."""

    def rows(self, tokens: Rows) -> "WrittenRows":
        """Return token rows and what is to be written for them as `collate` takes them."""
        return WrittenRows(tokens)

    def collate(self, rows: Sequence[Row], pad_token_id: int) -> dict[str, Tensor]:
        """Return rows as a batch (`pipeline.objectives.sequence_to_sequence.collate_sequences`)."""
        return collate_sequences([row["input_ids"] for row in rows], [row["labels"] for row in rows], pad_token_id)

    def loss(self, model: PreTrainedModel, label_smoothing: float = 0.0, consistency: float = 0.0) -> nn.Module:
        """Return `model` with its loss on rows, for the training loop."""
        kind = SequenceToSequenceLoss if model.config.is_encoder_decoder else CompletionLoss
        return kind(model, label_smoothing)

    def evaluation(
        self, tokens: Rows, *, batch_size: int, pad_token_id: int, dtype: torch.dtype
    ) -> Callable[[nn.Module], dict[str, float]]:
        """Return what the training loop calls to read dev: "loss", the mean cross-entropy of the tokens to be written.

        Raises InputError where there are no rows.
        """
        if not len(tokens):
            raise InputError("the dev split has no rows, expected at least one to choose the best state by")
        rows = self.rows(tokens)
        by_length = [rows[int(row)] for row in np.argsort(tokens.lengths, kind="stable")]
        nothing = np.random.default_rng(0)  # is drawn by this collate

        def evaluate(module: nn.Module) -> dict[str, float]:
            collate = lambda rows, generator: self.collate(rows, pad_token_id)  # noqa: E731
            loss = mean_loss(module, by_length, collate, batch_size=batch_size, dtype=dtype, generator=nothing)
            return {"loss": loss}

        return evaluate

    def ask(self, model: PreTrainedModel, tokens: Rows, texts: Sequence[str], *, batch_size: int, name: str) -> Said:
        """Return what `model`, in float32, writes for the token rows of `texts`; `name` stands before progress lines.

        The tokenizer is that of the folder which the model was loaded from.
        """
        written = generate(model, tokens, batch_size=batch_size, dtype=torch.float32, name=name)
        return Said(decoded(Path(str(model.name_or_path)), written))


class WrittenRows(RowSequence):
    """Token rows that are read, and those that are to be written for them."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens read and written of each row, int64 (rows,)."""
        return self.tokens.lengths + np.diff(self.tokens.targets)


def decoded(folder: Path, written: Sequence[np.ndarray]) -> list[str]:
    """Return the texts that rows of ids spell in the tokenizer of `folder`, without special tokens."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    return [str(tokenizer.decode(ids.tolist(), **options)).strip() for ids in written]


def with_written(rows: Any, written: Sequence[np.ndarray]) -> Any:
    """Return token rows (`pipeline.tokenization.ragged.TokenRows`) for which `written` is what is to be written."""
    targets = np.cumsum([0] + [len(ids) for ids in written], dtype=np.int64)
    positions = np.concatenate([np.arange(len(ids)) for ids in written] or [np.zeros(0, np.int64)])
    labels = np.concatenate([*written, np.zeros(0, np.int64)])
    return dataclasses.replace(rows, labels=labels, targets=targets, positions=positions.astype(np.int64))
