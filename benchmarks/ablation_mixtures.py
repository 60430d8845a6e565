"""What the ablation compares: mixtures of losses and first weights, as changes of a task's section of params.yaml.

A mixture is compared with one of the same shape and vocabulary that differs from it in the losses alone, or in the
first weights alone: losses of layers learn most where every row is the same tokens to both, so that the vocabulary is
the teacher's, and those of attention need its number of heads.
"""

from dataclasses import dataclass, field
from typing import Any

BASE = {"architecture": {"attention_heads": 6}}  # of params.yaml's student, for all that do not say otherwise
WHOLE = {"vocabulary_size": None}  # of the teacher's vocabulary: all rows are the same tokens to both
HEADS = {"attention_heads": 12}  # as many as the default teacher has
WIDE = WHOLE | {"embeddings": "teacher", "architecture": HEADS | {"hidden_size": 384, "intermediate_size": 1536}}
GENTLY = {"training": {"learning_rate": 5e-4}}  # weights that are good already are lost at the narrow student's rate
LAYERS = {"layer_map": [[0, 0], [1, 3], [2, 6]]}
LAST = {"layer_map": [[2, 6]]}
RELATIONS = {"query_relations": 1.0, "key_relations": 1.0, "value_relations": 1.0}
MINILM = {"attention_distributions": 1.0, "value_relations": 1.0}


@dataclass(frozen=True)
class Mixture:
    """One row of the table.

    losses: their weights, those left out are 0. against: the name of the mixture that it is compared with, None for
    one that others are. distill, student: further keys that differ from params.yaml and BASE. first: weights of losses
    that are learnt alone in the first half of the steps, before `losses` in the second. teacher: False for a student
    that learns from the labels alone, as the pipeline's undistilled student does.
    """

    name: str
    losses: dict[str, float]
    against: str | None
    student: dict[str, Any] = field(default_factory=dict)
    distill: dict[str, Any] = field(default_factory=dict)
    first: dict[str, float] | None = None
    teacher: bool = True

    @property
    def of_layers(self) -> bool:
        """Whether it needs the states of the teacher's layers."""
        return bool(self.distill.keys() & {"layer_map", "relation_map"})


def _relations(heads: int) -> dict[str, Any]:
    return {"relation_map": [[2, 6]], "relation_heads": heads}


SOFT = {"soft_labels": 1.0}
FIRST, CUT_HEADS_SOFT, WHOLE_SOFT, HEADS_SOFT, WIDE_SOFT = (
    "soft labels, T = 2",
    "soft labels; 12 heads",
    "soft labels; whole vocabulary",
    "soft labels; whole vocabulary, 12 heads",
    "soft labels; 2 x 384, teacher's embeddings",
)
CUT_HEADS = {"architecture": HEADS}
TWELVE = _relations(12)
WITH_HEADS = WHOLE | {"architecture": HEADS}

MIXTURES = [
    # what a student of params.yaml's width learns of the teacher's answers
    Mixture(FIRST, SOFT, None),
    Mixture("soft labels, T = 1", SOFT, FIRST, distill={"temperature": 1.0}),
    Mixture("soft labels, T = 4", SOFT, FIRST, distill={"temperature": 4.0}),
    Mixture("reverse KL, T = 2", {"reverse_kl": 1.0}, FIRST),
    Mixture("Jensen-Shannon, T = 2", {"jensen_shannon": 1.0}, FIRST, distill={"jensen_shannon_share": 0.5}),
    Mixture("logits", {"logits": 1.0}, FIRST),
    Mixture("hard labels", {"hard_labels": 1.0}, FIRST),
    # all its steps, where the pipeline's own stops when dev gains nothing: in a short run that is before it has begun
    Mixture("no teacher", {"hard_labels": 1.0}, FIRST, distill={"training": {"patience": 60}}, teacher=False),
    Mixture("soft labels + hard labels", SOFT | {"hard_labels": 1.0}, FIRST),
    Mixture("soft labels + logits", SOFT | {"logits": 1.0}, FIRST),
    # its first weights
    Mixture("soft labels; random embeddings", SOFT, FIRST, student={"embeddings": "random"}),
    # attention, in the vocabulary that ships: of the rows that are the same tokens to both
    Mixture(CUT_HEADS_SOFT, SOFT, FIRST, student=CUT_HEADS),
    Mixture("soft labels + attentions; 12 heads", SOFT | {"attentions": 1.0}, CUT_HEADS_SOFT, CUT_HEADS, LAYERS),
    Mixture(
        "soft labels + key relations, tenfold; cut, 6 heads",
        SOFT | {"key_relations": 10.0},
        FIRST,
        distill=_relations(12),
    ),
    # layers, in that shape
    Mixture(WHOLE_SOFT, SOFT, FIRST, student=WHOLE),
    Mixture("soft labels + hidden states", SOFT | {"hidden_states": 1.0}, WHOLE_SOFT, WHOLE, LAYERS),
    Mixture("soft labels + hidden cosines", SOFT | {"hidden_cosines": 1.0}, WHOLE_SOFT, WHOLE, LAST),
    Mixture("soft labels + MiniLM v2's relations", SOFT | RELATIONS, WHOLE_SOFT, WHOLE, _relations(24)),
    Mixture("hidden states, then soft labels", SOFT, WHOLE_SOFT, WHOLE, LAYERS, first={"hidden_states": 1.0}),
    Mixture("hidden cosines, then soft labels", SOFT, WHOLE_SOFT, WHOLE, LAST, first={"hidden_cosines": 1.0}),
    Mixture("MiniLM v2's relations, then soft labels", SOFT, WHOLE_SOFT, WHOLE, _relations(24), first=RELATIONS),
    # attention, with as many heads as the teacher
    Mixture(HEADS_SOFT, SOFT, FIRST, student=WITH_HEADS),
    Mixture("soft labels + attentions", SOFT | {"attentions": 1.0}, HEADS_SOFT, WITH_HEADS, LAYERS),
    Mixture("soft labels + MiniLM", SOFT | MINILM, HEADS_SOFT, WITH_HEADS, TWELVE),
    Mixture(
        "TinyBERT: hidden states + attentions, then soft labels",
        SOFT,
        HEADS_SOFT,
        WITH_HEADS,
        LAYERS,
        first={"hidden_states": 1.0, "attentions": 1.0},
    ),
    Mixture("attentions, then soft labels", SOFT, HEADS_SOFT, WITH_HEADS, LAYERS, first={"attentions": 1.0}),
    Mixture("MiniLM, then soft labels", SOFT, HEADS_SOFT, WITH_HEADS, TWELVE, first=MINILM),
    # what these are made of, one by one, in the same shape
    *(
        Mixture(f"soft labels + {loss.replace('_', ' ')}{size}", SOFT | {loss: weight}, HEADS_SOFT, WITH_HEADS, TWELVE)
        for size, weight in {"": 1.0, ", tenfold": 10.0}.items()  # their divergences are small beside soft labels
        for loss in ("attention_distributions", *RELATIONS)
    ),
    Mixture("soft labels + MiniLM, tenfold", SOFT | dict.fromkeys(MINILM, 10.0), HEADS_SOFT, WITH_HEADS, TWELVE),
    # the squares of states are some 25 times as large as soft labels
    Mixture("soft labels + hidden states, 0.04", SOFT | {"hidden_states": 0.04}, HEADS_SOFT, WITH_HEADS, LAYERS),
    # a student of the teacher's width, which can start from its layers
    Mixture(WIDE_SOFT, SOFT, FIRST, WIDE, GENTLY),
    Mixture("soft labels; 2 x 384, teacher's layers", SOFT, WIDE_SOFT, WIDE | {"layers": "teacher"}, GENTLY),
    Mixture(
        "DistilBERT: soft labels + hidden cosines; 2 x 384, teacher's layers",
        SOFT | {"hidden_cosines": 1.0},
        WIDE_SOFT,
        WIDE | {"layers": "teacher"},
        GENTLY | LAST,
    ),
]
