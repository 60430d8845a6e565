"""What `stillhouse use --data` says of a file before a run spends minutes on it: rows, labels, lengths, doubts.

Counts are of the whole file; near-duplicates and wrong labels are estimated on a sample, so that the time for them has
a bound. `validate` measures both on what `ingest` leaves, and stops a run where they pass the limits of params.yaml.
"""

import math
import random
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.drivers import SHIPPED_TIMINGS
from pipeline.files import one_line
from pipeline.params import Params

SAMPLE_ROWS = 10_000
SAMPLE_CHARACTERS = 2_000  # of each text, at most
COMPARED_ROWS, COMPARED_CHARACTERS = 2_000, 500  # where all texts are of one template every pair is compared in full
SHOWN_LABELS, SHOWN_DOUBTS, SHOWN_CHARACTERS = 10, 3, 60
TOKENS_OF_A_WORD = 1.3
# what the shipped timings are of: labelled rows and their tokens, words of all datasets, texts that the student reads,
# passes of the teacher and of the student
DEFAULT_ROWS, DEFAULT_TOKENS, DEFAULT_WORDS, DEFAULT_READ = 8_530, 27.0, 6_000_000, 88_500
DEFAULT_EPOCHS = {"finetune": 3, "distill": 2}
SENTENCE = 20  # words, where a corpus is cut into sentences
START = 5.0  # seconds of a stage that do not depend on the data: imports


@dataclass(frozen=True)
class Doubt:
    """A label that naive Bayes contradicts: the text's beginning, its label, the other one and how probable that is."""

    text: str
    label: str
    other: str
    probability: float


@dataclass(frozen=True)
class Profile:
    """A file of labelled rows; lengths are in words, `near_duplicates` and `wrong_labels` shares of a sample.

    repeated: rows whose text stands in an earlier row. contradicted: texts that stand there with different labels.
    wrong_labels is what naive Bayes estimates, an upper bound: a hard row looks like a wrong one. linear_accuracy: the
    share of one half of up to COMPARED_ROWS rows that a linear model is right on which has learnt the other half, None
    where that half has one label alone.
    """

    rows: int
    empty: int
    repeated: int
    contradicted: int
    labels: dict[str, int]
    median_words: int
    most_words: int
    longest_words: int
    sample: int
    near_duplicates: float
    wrong_labels: float
    doubts: list[Doubt]
    linear_accuracy: float | None

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return asdict(self)


def profile_rows(texts: Sequence[str | None], labels: Sequence[str | None]) -> Profile:
    """Return the profile of a file's rows, one label a text; at least one row has text."""
    given: dict[str, set[str]] = {}
    counted: Counter[str] = Counter()
    empty = 0
    for text, label in zip(texts, labels, strict=True):
        if not (text or "").strip():
            empty += 1
        else:
            given.setdefault(str(text), set()).add(str(label))
            counted[str(label)] += 1
    words = sorted(len(text.split()) for text in given)
    agreed = [(text, next(iter(names))) for text, names in given.items() if len(names) == 1]
    sample = random.Random(0).sample(agreed, min(SAMPLE_ROWS, len(agreed)))
    wrong, doubts = _doubts(sample)
    return Profile(
        rows=len(texts),
        empty=empty,
        repeated=len(texts) - empty - len(given),
        contradicted=len(given) - len(agreed),
        labels=dict(counted.most_common()),
        median_words=round(statistics.median(words)),
        most_words=words[math.ceil(0.95 * len(words)) - 1],
        longest_words=words[-1],
        sample=len(sample),
        near_duplicates=_repeats([text[:COMPARED_CHARACTERS] for text, _ in sample[:COMPARED_ROWS]]),
        wrong_labels=wrong,
        doubts=doubts,
        linear_accuracy=_linear_accuracy(sample[:COMPARED_ROWS]),
    )


def _linear_accuracy(rows: list[tuple[str, str]]) -> float | None:
    """Return which share of the second half a linear model of the first half is right on."""
    from sklearn.linear_model import LogisticRegression

    from pipeline.evaluation.baselines import MAX_ITERATIONS, tfidf

    half = len(rows) // 2
    texts, labels = [text[:SAMPLE_CHARACTERS] for text, _ in rows], [label for _, label in rows]
    if len(set(labels[:half])) < 2:
        return None
    weights = tfidf(half)
    try:
        features = weights.fit_transform(texts[:half])
    except ValueError:  # no word stands in them often enough
        return None
    model = LogisticRegression(C=10.0, max_iter=MAX_ITERATIONS).fit(features, labels[:half])
    return float(model.score(weights.transform(texts[half:]), labels[half:]))


def _repeats(texts: list[str]) -> float:
    """Return the share of the second half of some texts that nearly repeat one of the first half."""
    from pipeline.params import DecontaminationParams
    from pipeline.sources.near_duplicates import NearDuplicates, band_shape, sketches

    half = len(texts) // 2
    if not half:
        return 0.0
    params = DecontaminationParams(min_letters=24, similarity=0.8, shingle_words=3, permutations=64)
    own = sketches(params, band_shape(params), texts)
    return float(NearDuplicates(texts[:half], own[:half], params).near(texts[half:], own[half:]).mean())


def _doubts(sample: list[tuple[str, str]]) -> tuple[float, list[Doubt]]:
    """Return the share of labels that look wrong, and the most doubtful ones; as `validate` estimates it."""
    if not sample:
        return 0.0, []
    import numpy as np
    from scipy.sparse import hstack

    from pipeline.sources.similarity import indicator_matrix, shingles
    from pipeline.validation.label_noise import estimate

    texts = [text[:SAMPLE_CHARACTERS] for text, _ in sample]
    words = hstack([indicator_matrix(shingles(texts, size)) for size in (1, 2)], format="csr")
    found = estimate(words, np.array([label for _, label in sample], dtype=str))
    doubts = [
        Doubt(_beginning(sample[suspect.row][0]), sample[suspect.row][1], suspect.other, round(suspect.probability, 2))
        for suspect in found.suspects[:SHOWN_DOUBTS]
    ]
    return found.share, doubts


def _beginning(text: str) -> str:
    text = " ".join(text.split())
    return one_line(text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…")


def estimate_seconds(profile: Profile, words: int, params: Params, stages: Iterable[str]) -> dict[str, float]:
    """Return about how long each stage takes on these rows: the shipped default's seconds, scaled by rows and lengths.

    `words` are those of all texts. Of the models' shapes and of this machine's speed it knows nothing.
    """
    (task,) = params.tasks.values()
    rows = sum(profile.labels.values()) - profile.repeated
    tokens = min(task.max_length, words / rows * TOKENS_OF_A_WORD + 2) / DEFAULT_TOKENS
    sentences = words / SENTENCE
    read = min(task.transfer.sentences, sentences) + min(task.transfer.recombined, 2 * rows) + rows
    passes = {stage: getattr(task, stage).training.epochs / usual for stage, usual in DEFAULT_EPOCHS.items()}
    factors = {
        "finetune": rows / DEFAULT_ROWS * tokens * task.finetune.teachers * passes["finetune"],
        "distill": read / DEFAULT_READ * passes["distill"],
        "tokenize": read / DEFAULT_READ,
        "evaluate": rows / DEFAULT_ROWS,
        "register": rows / DEFAULT_ROWS,
    }
    found = {}
    for stage in stages:
        kind = stage.split("@")[0]
        default = SHIPPED_TIMINGS["run"].get(kind, START)
        growing = max(0.0, default - START) * factors.get(kind, words / DEFAULT_WORDS)
        found[stage] = min(START, default) + growing
    return found


def show_profile(title: str, profile: Profile, seconds: float) -> None:
    """Print a profile: a table in a terminal, plain lines elsewhere."""
    facts = _facts(profile, seconds)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        print("\n".join([title, *(f"  {name}: {fact}" for name, fact in facts)]))
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts:
        table.add_row(name, fact)
    Console(highlight=False, markup=False).print(table)


def _facts(profile: Profile, seconds: float) -> list[tuple[str, str]]:
    total = sum(profile.labels.values())
    labels = [f"{one_line(label)} {count / total:.0%}" for label, count in [*profile.labels.items()][:SHOWN_LABELS]]
    if len(profile.labels) > SHOWN_LABELS:
        labels.append(f"{len(profile.labels) - SHOWN_LABELS} more")
    minutes, compared = max(1, round(seconds / 60)), min(COMPARED_ROWS, profile.sample)
    return [
        ("rows", f"{profile.rows:,}" + (f", {profile.empty:,} of them without text" if profile.empty else "")),
        ("labels", f"{len(profile.labels)}: {', '.join(labels)}"),
        (
            "words",
            f"{profile.median_words:,} in the middle, at most {profile.most_words:,} in 95 %, "
            f"{profile.longest_words:,} in the longest",
        ),
        (
            "the same text again",
            f"{profile.repeated:,} rows; {profile.contradicted:,} texts have different labels and will be left out",
        ),
        ("nearly the same", f"{profile.near_duplicates:.1%} of the texts, as far as {compared:,} of them tell"),
        ("labels that look wrong", f"up to {profile.wrong_labels:.0%}, as naive Bayes says; `make run` lists them"),
        *(("such as", f"{doubt.label}, rather {doubt.other}? {doubt.text}") for doubt in profile.doubts),
        *_expectation(profile, compared // 2),
        ("a run", f"about {minutes} min on two cores, an estimate from the default's"),
    ]


def _expectation(profile: Profile, learnt: int) -> list[tuple[str, str]]:
    if profile.linear_accuracy is None:
        return []
    largest = max(profile.labels.values()) / sum(profile.labels.values())
    fact = f"after {learnt:,} rows right on {profile.linear_accuracy:.0%} of others"
    return [("a linear model", f"{fact}; always the same label, on {largest:.0%}")]
