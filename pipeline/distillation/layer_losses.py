"""What a student learns from what goes on inside its teacher, as pure functions of tensors.

Every loss returns one value a row, normalised within it, to which padding contributes exactly zero. attention_mask is
(rows, length), 1 at real tokens, of which each row has at least one.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def hidden_state_loss(student: Tensor, teacher: Tensor, projection: Tensor, attention_mask: Tensor) -> Tensor:
    """Return MSE(H_student W_h, H_teacher) over a row's real tokens and the teacher's width.

    Jiao et al. 2020 (TinyBERT), equation 8; with the embeddings' outputs for H it is their equation 9. Student:
    (rows, length, student width); teacher: (rows, length, teacher width); projection W_h: (student width, teacher
    width).
    """
    squares = (student.float() @ projection - teacher.float()).square().mean(dim=-1)
    return _mean_of_real(squares, attention_mask)


def hidden_cosine_loss(student: Tensor, teacher: Tensor, attention_mask: Tensor) -> Tensor:
    """Return 1 - cos(h_student, h_teacher), the mean over a row's real tokens: zero where they point the same way.

    Sanh et al. 2019 (DistilBERT), section 3, the loss L_cos. Student and teacher: (rows, length, width), of one width.
    """
    return _mean_of_real(1 - F.cosine_similarity(student.float(), teacher.float(), dim=-1), attention_mask)


def scaled_products(first: Tensor, second: Tensor, heads: int) -> Tensor:
    """Return A_i B_iᵀ / √d for each of `heads` equal parts of the width, d wide each: (rows, heads, length, length).

    Of queries and keys, (rows, length, width), with the model's own heads they are its attention scores before the
    softmax (Vaswani et al. 2017, equation 1); of any two with other heads the relations of MiniLM v2.
    """
    rows, columns = (states.unflatten(-1, (heads, -1)).transpose(1, 2) for states in (first, second))
    return torch.matmul(rows, columns.transpose(-1, -2)) / math.sqrt(rows.shape[-1])


def attention_loss(student: Tensor, teacher: Tensor, attention_mask: Tensor) -> Tensor:
    """Return (1 / h) Σ_i MSE(A_i of the student, A_i of the teacher) over pairs of a row's real tokens.

    Jiao et al. 2020 (TinyBERT), equation 7; A_i are the attention scores of head i before its softmax, as
    `scaled_products` has them. Student and teacher: (rows, heads, length, length).
    """
    real = attention_mask.bool()
    pairs = real.unsqueeze(2) & real.unsqueeze(1)
    squares = (student.float() - teacher.float()).square().mean(dim=1)
    return squares.masked_fill(~pairs, 0.0).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2))


def relation_loss(student: Tensor, teacher: Tensor, attention_mask: Tensor) -> Tensor:
    """Return 1 / (h |x|) Σ_a Σ_t KL(R_a,t of the teacher ‖ R_a,t of the student), R = softmax(A Bᵀ / √d).

    A row of R_a says how a token t divides its attention, or its likeness, among the real tokens of its row x, in head
    a of h. Of queries and keys with the models' own heads it is L_AT of Wang et al. 2020 (MiniLM), section 3.1; of
    values with themselves L_VR of section 3.2; of queries, keys or values with themselves and with relation heads of
    their own, which teacher and student share whatever their widths, L of Wang et al. 2021 (MiniLM v2), section 3.1.
    Student and teacher: the `scaled_products`, (rows, heads, length, length).
    """
    padding = ~attention_mask.bool()[:, None, None, :]
    # a finite number: -inf on both sides would leave no number to subtract; its probability is exactly 0 all the same
    p, q = (
        F.log_softmax(products.float().masked_fill(padding, torch.finfo(torch.float32).min), dim=-1)
        for products in (student, teacher)
    )
    return _mean_of_real((q.exp() * (q - p)).sum(dim=-1).mean(dim=1), attention_mask)


def _mean_of_real(values: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the mean of values, (rows, length), over the real tokens of each row."""
    real = attention_mask.bool()
    return values.masked_fill(~real, 0.0).sum(dim=-1) / real.sum(dim=-1)
