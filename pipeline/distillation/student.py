"""The student before its first step: random weights from the seed, its embeddings started from the teacher's."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from pipeline.architectures import ARCHITECTURES
from pipeline.files import InputError
from pipeline.params import StudentParams, TaskParams
from pipeline.params.families import WITH_ATTENTIONS

# of BERT and RoBERTa, ModernBERT, GPT-2, Llama, Marian
WORDS = ("word_embeddings.weight", "tok_embeddings.weight", "wte.weight", "embed_tokens.weight", "shared.weight")
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


def check_shapes(name: str, task: TaskParams, teacher: PretrainedConfig) -> None:
    """Raise InputError naming the key where the student of task `name` cannot learn from a teacher of that shape."""
    student, losses = task.student.architecture, task.distill.losses
    key = f"tasks.{name}.student.architecture"
    if student.hidden_size > teacher.hidden_size:
        raise InputError(
            f"{key}.hidden_size: must be <= {teacher.hidden_size}, the teacher's, got {student.hidden_size}"
        )
    if losses.attentions and teacher.model_type not in WITH_ATTENTIONS:
        raise InputError(
            f"tasks.{name}.distill.losses.attentions: must be 0 where the teacher, a {teacher.model_type}, is none of "
            f"{', '.join(WITH_ATTENTIONS)}, got {losses.attentions}"
        )
    if losses.attentions and student.attention_heads != teacher.num_attention_heads:
        raise InputError(
            f"{key}.attention_heads: must be {teacher.num_attention_heads}, the teacher's, when attentions have a "
            f"weight, got {student.attention_heads}"
        )
    if task.distill.likeliest is not None and task.distill.likeliest > teacher.vocab_size:
        raise InputError(
            f"tasks.{name}.distill.likeliest: must be <= {teacher.vocab_size}, the teacher's tokens, "
            f"got {task.distill.likeliest}"
        )
    for own, its in task.distill.layer_map:
        if not (0 <= own <= student.layers and 0 <= its <= teacher.num_hidden_layers):
            raise InputError(
                f"tasks.{name}.distill.layer_map: got [{own}, {its}], expected student layers from 0 to "
                f"{student.layers} and teacher layers from 0 to {teacher.num_hidden_layers}"
            )


def teacher_word_embeddings(folder: Path) -> Tensor:
    """Read the word embeddings, (vocabulary, width), of the teacher in `folder`, and nothing else of it."""
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        (name,) = (key for key in weights.keys() if key.endswith(WORDS))  # noqa: SIM118
        return weights.get_tensor(name)


@torch.no_grad()
def start_embeddings(student: PreTrainedModel, teacher_words: Tensor, teacher_ids: np.ndarray) -> None:
    """Start the student's word embeddings from the teacher's, reduced to the student's width; [PAD] stays zero.

    teacher_words: (teacher's vocabulary, teacher's width). teacher_ids: int64 (student's vocabulary,), the teacher's id
    of each of the student's.
    """
    embeddings: Any = student.get_input_embeddings().weight
    embeddings.copy_(reduced_embeddings(teacher_words[torch.from_numpy(teacher_ids)], embeddings.shape[1]))
    embeddings[student.config.pad_token_id] = 0.0


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
