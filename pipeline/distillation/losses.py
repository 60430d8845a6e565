"""What a student learns from its teacher, as pure functions of tensors.

Every loss returns one value a target (a whole row, or a token that carries a label), those of hidden states and
attention one a row, normalised within it: whoever trains weighs them and sums, so the gradient of one large batch is
that of many small ones. Temperature is applied here and nowhere else.
"""

import torch.nn.functional as F
from torch import Tensor


def soft_label_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return T² · KL(q ‖ p) with q = softmax(teacher / T) and p = softmax(student / T): zero for equal logits.

    Hinton et al. 2015, equation 1: q_i = exp(z_i / T) / Σ_j exp(z_j / T). The factor T² keeps the gradient's size
    when T changes (their section 2). Logits: (targets, classes).
    """
    teacher = F.log_softmax(teacher_logits.float() / temperature, dim=-1)
    student = F.log_softmax(student_logits.float() / temperature, dim=-1)
    return temperature**2 * (teacher.exp() * (teacher - student)).sum(dim=-1)


def logit_mse(student_logits: Tensor, teacher_logits: Tensor, real: Tensor | None = None) -> Tensor:
    """Return the mean over classes of (student - teacher)², the logit regression of Ba & Caruana 2014, equation 1.

    Theirs is half the squared norm; the mean makes the value independent of the number of classes. Logits:
    (targets, classes). `real`, bool (targets, classes), says which are no padding where targets have fewer than others.
    """
    squares = (student_logits.float() - teacher_logits.float()).square()
    if real is None:
        return squares.mean(dim=-1)
    return squares.masked_fill(~real, 0.0).sum(dim=-1) / real.sum(dim=-1)


def divergence(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return how far the student is from its teacher: `soft_label_loss` at temperature 1, a single logit's `logit_mse`.

    One logit is a number and no distribution. Logits: (targets, classes).
    """
    if student_logits.shape[-1] == 1:
        return logit_mse(student_logits, teacher_logits)
    return soft_label_loss(student_logits, teacher_logits, temperature=1.0)


def hidden_state_loss(student: Tensor, teacher: Tensor, projection: Tensor, attention_mask: Tensor) -> Tensor:
    """Return MSE(H_student W_h, H_teacher) over a row's real tokens and the teacher's width.

    Jiao et al. 2020 (TinyBERT), equation 8; with the embeddings' outputs for H it is their equation 9. Student:
    (rows, length, student width); teacher: (rows, length, teacher width); projection W_h: (student width, teacher
    width); attention_mask: (rows, length), 1 at real tokens. Padding contributes exactly zero.
    """
    real = attention_mask.bool()
    squares = (student.float() @ projection - teacher.float()).square().mean(dim=-1)
    return squares.masked_fill(~real, 0.0).sum(dim=-1) / real.sum(dim=-1)


def attention_loss(student: Tensor, teacher: Tensor, attention_mask: Tensor) -> Tensor:
    """Return (1 / h) Σ_i MSE(A_i of the student, A_i of the teacher) over pairs of a row's real tokens.

    Jiao et al. 2020 (TinyBERT), equation 7; A_i = Q K^T / √d is the attention matrix of head i before its softmax.
    Student and teacher: (rows, heads, length, length); attention_mask: (rows, length), 1 at real tokens. Padding
    contributes exactly zero.
    """
    real = attention_mask.bool()
    pairs = real.unsqueeze(2) & real.unsqueeze(1)
    squares = (student.float() - teacher.float()).square().mean(dim=1)
    return squares.masked_fill(~pairs, 0.0).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2))
