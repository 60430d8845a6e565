"""What a student learns from its teacher's answers, as pure functions of tensors.

Every loss returns one value a target (a whole row, or a token that carries a label), those of `layer_losses` one a row,
normalised within it: whoever trains weighs them and sums, so the gradient of one large batch is that of many small
ones. Temperature is applied here and nowhere else; the factor T² keeps the gradient's size when T changes (Hinton et
al. 2015, section 2), of any of these divergences, as to second order they are multiples of one another.

Where there are too many classes to keep, the teacher is known by its k likeliest ones and the rest is one more class
of both: `teacher` is then (targets, k + 1), as `likeliest_labels` makes it, and `likeliest`, int64 (targets, k), says
which classes they are. With p for the student, q for the teacher and P and Q for what they give the rest together,
lumping never adds to a divergence (the log-sum inequality, Cover & Thomas 2006, theorem 2.7.1), and by the chain rule
each docstring says exactly what is missing; p' and q' are the distributions within the rest. With k = classes nothing
is.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_label_loss(
    student_logits: Tensor, teacher: Tensor, temperature: float, likeliest: Tensor | None = None
) -> Tensor:
    """Return T² · KL(q ‖ p) with q = softmax(teacher / T) and p = softmax(student / T): zero for equal logits.

    Hinton et al. 2015, equation 1: q_i = exp(z_i / T) / Σ_j exp(z_j / T). Logits: (targets, classes).
    With `likeliest` exactly T² · Q · KL(q' ‖ p') is missing, at most T² · Q · max log(q'_i / p'_i).
    """
    p, q = _log_probabilities(student_logits, teacher, temperature, likeliest)
    return temperature**2 * _kl(q, p)


def reverse_kl_loss(
    student_logits: Tensor, teacher: Tensor, temperature: float, likeliest: Tensor | None = None
) -> Tensor:
    """Return T² · KL(p ‖ q), p and q as `soft_label_loss` has them: zero for equal logits.

    Gu et al. 2024 (MiniLLM), section 2.1, here target by target under the given text, not under texts that the student
    writes. Logits: (targets, classes).
    With `likeliest` exactly T² · P · KL(p' ‖ q') is missing, at most T² · P · max log(p'_i / q'_i): P is the student's
    and falls as it learns to keep to the teacher's likeliest classes.
    """
    p, q = _log_probabilities(student_logits, teacher, temperature, likeliest)
    return temperature**2 * _kl(p, q)


def jensen_shannon_loss(
    student_logits: Tensor, teacher: Tensor, temperature: float, share: float, likeliest: Tensor | None = None
) -> Tensor:
    """Return T² · (β · KL(q ‖ m) + (1 - β) · KL(p ‖ m)), m = β q + (1 - β) p and β = `share`: zero for equal logits.

    The generalised Jensen-Shannon divergence of Agarwal et al. 2024 (GKD), section 2; β = 1/2 is Lin 1991's. It is at
    most T² · H(β), H the entropy in nats of (β, 1 - β); divided by β it tends to KL(q ‖ p) for β -> 0, divided by 1 - β
    to KL(p ‖ q) for β -> 1. Logits: (targets, classes).
    With `likeliest` exactly T² · M · JS_w(q', p') is missing, M = β Q + (1 - β) P and JS_w the same divergence with
    share w = β Q / M: at most T² · M · log 2, whatever the distributions.
    """
    p, q = _log_probabilities(student_logits, teacher, temperature, likeliest)
    m = torch.logaddexp(q + math.log(share), p + math.log1p(-share))
    return temperature**2 * (share * _kl(q, m) + (1 - share) * _kl(p, m))


def likeliest_labels(logits: Tensor, k: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Return what the divergences read of a teacher's logits, (targets, classes), where not all are kept.

    Log-probabilities at the temperature, (targets, k + 1), last the one of all other classes together, -inf where there
    are none; and the k likeliest classes, int64 (targets, k), the likeliest first.
    """
    scores = F.log_softmax(logits.float() / temperature, dim=-1)
    likeliest = scores.topk(k, dim=-1).indices
    return _lumped(scores, likeliest), likeliest


def _log_probabilities(
    student_logits: Tensor, teacher: Tensor, temperature: float, likeliest: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return log p and log q, over all classes or over the likeliest and the rest."""
    student = F.log_softmax(student_logits.float() / temperature, dim=-1)
    if likeliest is None:
        return student, F.log_softmax(teacher.float() / temperature, dim=-1)
    return _lumped(student, likeliest), teacher.float()


def _lumped(scores: Tensor, likeliest: Tensor) -> Tensor:
    """Return log-probabilities of the classes `likeliest`, then that of all others together, (targets, k + 1)."""
    rest = scores.scatter(-1, likeliest, -torch.inf).logsumexp(dim=-1, keepdim=True)
    return torch.cat([scores.gather(-1, likeliest), rest], dim=-1)


def _kl(first: Tensor, second: Tensor) -> Tensor:
    """Return Σ p (log p - log q) of log-probabilities; a class that p gives no mass adds nothing, whatever q does."""
    return (first.exp() * (first - second).masked_fill(first == -torch.inf, 0.0)).sum(dim=-1)


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
