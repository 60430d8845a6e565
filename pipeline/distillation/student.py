"""The student before its first step: random weights from the seed, its embeddings started from the teacher's."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from pipeline.architectures import ARCHITECTURES
from pipeline.files import InputError
from pipeline.params import TaskParams

EMBEDDING_SCALE = 0.05  # standard deviation of the word embeddings that start from the teacher's


def build_student(
    task: TaskParams, *, head: str, vocabulary_size: int, pad_token_id: int, seed: int, **settings: Any
) -> PreTrainedModel:
    """Return a student of `student.architecture` with `head` and random weights, the same ones for the same seed.

    `settings` are further keys of the model's configuration, such as `id2label`.
    """
    torch.manual_seed(seed)
    architecture = task.student.architecture
    family = ARCHITECTURES[architecture.family]()
    model: PreTrainedModel = family.build(
        architecture, head=head, vocabulary_size=vocabulary_size, pad_token_id=pad_token_id, **settings
    )
    return model


def check_shapes(name: str, task: TaskParams, teacher: PretrainedConfig) -> None:
    """Raise InputError naming the key where the student of task `name` cannot learn from a teacher of that shape."""
    student, losses = task.student.architecture, task.distill.losses
    key = f"tasks.{name}.student.architecture"
    if student.hidden_size > teacher.hidden_size:
        raise InputError(
            f"{key}.hidden_size: must be <= {teacher.hidden_size}, the teacher's, got {student.hidden_size}"
        )
    if losses.attentions and student.attention_heads != teacher.num_attention_heads:
        raise InputError(
            f"{key}.attention_heads: must be {teacher.num_attention_heads}, the teacher's, when attentions have a "
            f"weight, got {student.attention_heads}"
        )
    for pair in task.distill.layer_map:
        for layer, layers, whose in zip(pair, (student.layers, teacher.num_hidden_layers), ("student", "teacher")):
            if not 0 <= layer <= layers:
                raise InputError(
                    f"tasks.{name}.distill.layer_map: {pair} names layer {layer} of the {whose}, expected 0 to {layers}"
                )


@torch.no_grad()
def start_embeddings_from_teacher(student: PreTrainedModel, teacher: PreTrainedModel, teacher_ids: np.ndarray) -> None:
    """Set the student's word embeddings to the teacher's, reduced to the student's width.

    teacher_ids: int64 (student's vocabulary,), the teacher's id of each of the student's. The rows are centred and
    projected on their first right singular vectors (`reduced_embeddings`); [PAD] stays zero.
    """
    words = teacher.get_input_embeddings().weight.detach().float()[torch.from_numpy(teacher_ids)]
    embeddings = student.get_input_embeddings()
    embeddings.weight.copy_(reduced_embeddings(words, embeddings.weight.shape[1]))
    embeddings.weight[student.config.pad_token_id] = 0.0


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
