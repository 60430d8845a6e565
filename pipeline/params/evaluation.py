"""How a student is measured, and when it is promoted."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.section import Section, Share

GROUPINGS = ("source", "label", "length")  # of rows, whatever further columns they keep
IdentityGroup = Literal["gender", "race", "religion", "origin", "orientation", "names"]


class EvaluateParams(Section):
    """How the test split is evaluated."""

    bootstrap_samples: Annotated[int, Field(ge=100)]
    """Number of bootstrap samples of the test rows, from which intervals are computed."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    """Confidence level of the intervals."""
    calibration_bins: Annotated[int, Field(ge=2)]
    """Number of confidence bins in the reliability table and the calibration error."""
    slices: list[str]
    """Groupings of the test rows for which accuracy, or the first figure that `gate.metric` names for another type, is
    also reported group by group: `source`, `length`, columns of the dataset's `columns.metadata`, and `label`, which is
    for text classification and, label by label, for multi-label classification only."""
    identity_groups: list[IdentityGroup]
    """How people are told apart where it is measured whether a label depends on them: test rows and templates are asked
    again with these people exchanged. For text classification of single English texts only; [] measures nothing."""
    min_slice_rows: Annotated[int, Field(ge=1)] = 30
    """Minimum number of test rows that a group of `slices` needs for a figure; smaller ones are named as too small;
    30 unless it is given."""

    @property
    def columns(self) -> list[str]:
        """Those of `slices` that are columns of the dataset's `columns.metadata`."""
        return [name for name in self.slices if name not in GROUPINGS]


class GateParams(Section):
    """When a new version becomes the champion, which `stillhouse predict` uses; the first need only keep the limits."""

    rule: Literal["not_worse", "better"]
    """What a new version must be shown to be: less than `margin` worse than every champion so far, or better."""
    metric: Literal[
        "accuracy",
        "macro_f1",
        "micro_f1",
        "macro_label_f1",
        "subset_accuracy",
        "span_f1",
        "token_f1",
        "exact_match",
        "spearman",
        "bits_per_character",
        "perplexity",
        "bleu",
        "chrf",
        "rouge_1",
        "rouge_2",
        "rouge_l",
    ]
    """Figure that models are compared by, here and in all reports, one that goes with the type of the task: for text
    classification `accuracy` or `macro_f1`, for multi-label classification `micro_f1` (of all labels of all rows),
    `macro_label_f1` (the mean of each label's) or `subset_accuracy` (rows whose labels are all right), for token
    classification `span_f1`, for question answering `token_f1` or
    `exact_match`, for sentence similarity `spearman`, for text generation `bits_per_character` or `perplexity`, for
    translation `bleu` or `chrf`, for summarization one of ROUGE. Accuracy has a test for paired proportions, all others
    a paired bootstrap."""
    margin: Share
    """Loss of `metric` that `not_worse` accepts; 0.01 is one percentage point."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    """Confidence level of all one-sided tests on the same rows together; the first takes half of the error rate."""
    bootstrap_samples: Annotated[int, Field(ge=1000)]
    """Number of bootstrap samples behind the paired interval, and behind the test of an F1."""
    min_rows: Annotated[int, Field(ge=1)]
    """Minimum number of test rows for the comparison; those that a champion was trained on do not count."""
    max_comparisons: Annotated[int, Field(ge=1)]
    """Maximum number of candidates that the same test rows may judge; then only new rows bring a new champion."""
    max_bytes: Annotated[int, Field(ge=1)] | None
    """Maximum size of the student's weights in bytes; null sets no limit."""
    max_latency_milliseconds: Annotated[float, Field(gt=0)] | None
    """Maximum time for a single row in milliseconds; null sets no limit."""
    max_accuracy_gaps: dict[str, Share]
    """Maximum difference in accuracy, or what else slices show, between the groups of a slice, such as
    `{length: 0.1}`; those that are too small do not count. `{}` sets no limit."""
    max_flip_rate: Share | None
    """Maximum share of the texts about any of `evaluate.identity_groups` that may get another label when people are
    exchanged; null sets no limit."""
    max_flip_rate_increase: Share | None = None
    """Maximum by which that share may be larger than the teacher's, of the same group; null, the default, sets no
    limit."""
