"""The student before its first step: random weights from the seed, or some that start from the teacher's."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.architectures import ARCHITECTURES
from pipeline.files import InputError
from pipeline.params import StudentParams, TaskParams
from pipeline.params.fit import TeacherShape, misfits

# of BERT and RoBERTa, ModernBERT, GPT-2, Llama, Marian
WORDS = ("word_embeddings.weight", "tok_embeddings.weight", "wte.weight", "embed_tokens.weight", "shared.weight")
POSITIONS = ("position_embeddings.weight", "wpe.weight")
LAYER = re.compile(r"\.(?:layer|layers|h)\.(\d+)\.")
EMBEDDING_SCALE = 0.05  # standard deviation of the word embeddings that start from the teacher's


def build_student(
    student: StudentParams, *, head: str, vocabulary_size: int, pad_token_id: int, seed: int, **settings: Any
) -> PreTrainedModel:
    """Return a model of `student.architecture` with `head` and random weights, the same ones for the same seed.

    `settings` are further keys of the model's configuration, such as `id2label`.
    """
    torch.manual_seed(seed)
    family = ARCHITECTURES[student.architecture.family]()
    model: PreTrainedModel = family.build(
        student.architecture, head=head, vocabulary_size=vocabulary_size, pad_token_id=pad_token_id, **settings
    )
    return model


def check_shapes(name: str, task: TaskParams, teacher: TeacherShape) -> None:
    """Raise InputError naming the key where the student of task `name` cannot learn from a teacher of that shape."""
    for problem in misfits(f"tasks.{name}", task, teacher):
        raise InputError(problem)


def teacher_word_embeddings(folder: Path) -> Tensor:
    """Read the word embeddings, (vocabulary, width), of the teacher in `folder`, and nothing else of it."""
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        (name,) = (key for key in weights.keys() if key.endswith(WORDS))  # noqa: SIM118
        return weights.get_tensor(name)


def start_from_teacher(student: PreTrainedModel, chosen: StudentParams, teacher: Path, teacher_ids: np.ndarray) -> None:
    """Start what `chosen` says of the student's weights from those of the teacher in `teacher`, its folder.

    teacher_ids: int64 (student's vocabulary,), the teacher's id of each of the student's.
    """
    if chosen.embeddings != "random":
        words = teacher_word_embeddings(teacher)[torch.from_numpy(teacher_ids)]
        start_embeddings(student, words, reduced=chosen.embeddings == "teacher_svd")
    if chosen.layers == "teacher":
        start_layers(student, teacher)


@torch.no_grad()
def start_from_pretrained_student(student: PreTrainedModel, folder: Path) -> None:
    """Start the student's encoder, all but a pooler, from that of the student without a task in `folder`.

    Raises InputError naming a weight that is not there, or has another shape.
    """
    prefix = f"{student.base_model_prefix}."
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        names = set(weights.keys())
        for name, own in student.state_dict().items():
            if not name.startswith(prefix) or name.startswith(f"{prefix}pooler."):
                continue
            its = weights.get_tensor(name) if name in names else own.new_zeros(0)
            its = its[: len(own)] if name.endswith(WORDS) else its  # the teacher may have room for more words
            if its.shape != own.shape:
                raise InputError(f"{folder}: {name} is {list(its.shape)}, expected {list(own.shape)} for the student")
            own.copy_(its)


@torch.no_grad()
def start_embeddings(student: PreTrainedModel, words: Tensor, *, reduced: bool) -> None:
    """Start the student's word embeddings from the teacher's as they are, or reduced to its width; [PAD] is zero then.

    words: the teacher's embeddings of the student's words, (student's vocabulary, teacher's width).
    """
    embeddings: Any = student.get_input_embeddings().weight
    embeddings.copy_(reduced_embeddings(words, embeddings.shape[1]) if reduced else words)
    if reduced:
        embeddings[student.config.pad_token_id] = 0.0


@torch.no_grad()
def start_layers(student: PreTrainedModel, folder: Path) -> None:
    """Start everything but the student's word embeddings from the teacher in `folder`, of its layers every k-th.

    k is how many times the student's layers go into the teacher's. Layer i, counted from 1, starts from the teacher's
    layer i k, as in the uniform map of Jiao et al. 2020 (TinyBERT), so the last is the last; Sanh et al. 2019
    (DistilBERT), section 3, take one layer of two. A table of positions that is longer than the student's is cut.
    Raises InputError naming the weight that the teacher lacks or has in another shape.
    """
    words: Any = student.get_input_embeddings().weight
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        names = set(weights.keys())
        layers = 1 + max(int(found[1]) for found in map(LAYER.search, names) if found)
        step = layers // student.config.num_hidden_layers
        started = {words.data_ptr()}
        for name, own in student.state_dict().items():
            if own.data_ptr() in started:  # a weight that is tied to another, as of output layers, is in no file twice
                continue
            started.add(own.data_ptr())
            source = LAYER.sub(lambda found: found[0].replace(found[1], str((int(found[1]) + 1) * step - 1)), name)
            its = weights.get_tensor(source) if source in names else own.new_zeros(0)
            its = its[: len(own)] if name.endswith(POSITIONS) else its
            if its.shape != own.shape:
                raise InputError(f"{folder}: {source} is {list(its.shape)}, expected {list(own.shape)} for the student")
            own.copy_(its)


def reduced_embeddings(words: Tensor, width: int) -> Tensor:
    """Return the principal components of `words`, (vocabulary, teacher's width), as (vocabulary, width) float32.

    The truncated SVD of the centred matrix X = U S Vᵀ, X V_k = U_k S_k, is the best approximation of rank `width`
    (Eckart & Young 1936); scaled so that the standard deviation of all entries is EMBEDDING_SCALE. A singular vector's
    sign is free: its entry of largest size is made positive.
    """
    centred = words.double() - words.double().mean(dim=0)
    components = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(dims=[1])[:, :width]
    largest = components.gather(0, components.abs().argmax(dim=0, keepdim=True))
    reduced = centred @ (components * largest.sign())
    return (reduced * (EMBEDDING_SCALE / reduced.std())).float()
