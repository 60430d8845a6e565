"""The table of an ablation: figures of each mixture, and differences with intervals corrected for their number."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from ablation_mixtures import MIXTURES, Mixture
from scipy.stats import chi2

CONFIDENCE, SAMPLES, BLOCK, SEED = 0.95, 10_000, 1_000, 17
SIGNS = {"accuracy": "points", "divergence": "nats"}
Scores = dict[str, dict[int, np.ndarray]]  # what a figure gives each row, (rows,), by mixture and seed


class Compared(NamedTuple):
    """Differences of means, each with the ends of its interval; all intervals hold at once with CONFIDENCE."""

    differences: np.ndarray
    low: np.ndarray
    high: np.ndarray


def simultaneous(differences: Sequence[np.ndarray], samples: int = SAMPLES, seed: int = SEED) -> Compared:
    """Return the mean of each of some paired differences, (seeds, rows) of the same rows, with max-T intervals.

    Rows are resampled for all comparisons at once (Efron 1979). Another seed adds a normal deviate; as the few seeds of
    one comparison say little of its variance, it is taken to be no smaller than that of the comparison in the middle.
    An interval is the mean and c standard errors to each side, c the quantile of the largest of all comparisons'
    |deviation| / standard error (Westfall & Young 1993, section 2.3), so that the more are compared the wider they are.
    """
    generator = np.random.default_rng(seed)
    of_rows = np.stack([each.mean(axis=0) for each in differences])
    estimates, rows = of_rows.mean(axis=1), of_rows.shape[1]
    of_seeds = np.sqrt(_variances([each.mean(axis=1) for each in differences]) / [len(each) for each in differences])
    centred, parts = of_rows - estimates[:, None], []
    for start in range(0, samples, BLOCK):
        weights = generator.multinomial(rows, np.full(rows, 1 / rows), size=min(BLOCK, samples - start))
        parts.append(weights @ centred.T / rows + of_seeds * generator.standard_normal((len(weights), len(estimates))))
    drawn = np.concatenate(parts)
    errors = np.maximum(drawn.std(axis=0), 1e-12)
    reach = np.quantile(np.abs(drawn / errors).max(axis=1), CONFIDENCE) * errors
    return Compared(estimates, estimates - reach, estimates + reach)


def _variances(means: Sequence[np.ndarray]) -> np.ndarray:
    """Return the variance over seeds of each comparison, (comparisons,), at least the median; 0 where none has two."""
    own = np.array([each.var(ddof=1) if len(each) > 1 else 0.0 for each in means])
    # half of all variances of few draws are smaller than the median of chi² over its degrees of freedom says
    typical = [
        found / (chi2.median(len(each) - 1) / (len(each) - 1))
        for found, each in zip(own, means, strict=True)
        if len(each) > 1
    ]
    return np.maximum(own, np.median(typical)) if typical else own


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Return what finished students show as a Markdown table, each beside the mixture that it is compared with."""
    teacher = next(line for line in lines if "teacher" in line)
    runs = [line for line in lines if "mixture" in line]
    splits = list(teacher["labels"])
    labels = np.concatenate([teacher["labels"][split] for split in splits])
    of_teacher = _joined(teacher, splits)
    scores: dict[str, Scores] = {figure: {} for figure in ("accuracy", "divergence", "cross_entropy", "dev")}
    for run in runs:
        for figure, found in _scores(_joined(run, splits), of_teacher, labels).items():
            scores[figure].setdefault(run["mixture"], {})[run["seed"]] = found
        dev = slice(0, len(teacher["labels"]["dev"]))
        scores["dev"].setdefault(run["mixture"], {})[run["seed"]] = scores["accuracy"][run["mixture"]][run["seed"]][dev]
    shown = [mixture for mixture in MIXTURES if mixture.name in scores["accuracy"]]
    pairs = [mixture for mixture in shown if mixture.against in scores["accuracy"] and _seeds(mixture, scores)]
    compared = {figure: simultaneous([_paired(each, scores[figure]) for each in pairs]) for figure in SIGNS if pairs}
    about = {run["mixture"]: run for run in runs}
    head = ["mixture", "accuracy", "of it dev", "divergence", "cross-entropy", "seeds", "weights", "compared with"]
    head += ["Δ accuracy", "Δ divergence"]
    body = [_cells(each, pairs, scores, compared, about[each.name]) for each in shown]
    of_it = _scores(of_teacher, of_teacher, labels)
    facts, read = runs[0], ", ".join(f"{split} {len(teacher['labels'][split]):,}" for split in splits)
    return "\n".join(
        [
            f"{len(runs)} students, {facts['steps']:,} steps each ({facts['rows']:,} rows of the transfer set, "
            f"{facts['epochs']} passes); {facts['device']}; read on {len(labels):,} rows "
            f"({read}); teacher "
            f"{100 * of_it['accuracy'].mean():.1f} %, cross-entropy {of_it['cross_entropy'].mean():.3f}; intervals of "
            f"{100 * CONFIDENCE:g} % for all {len(pairs)} comparisons of a column at once.",
            "",
            "| " + " | ".join(head) + " |",
            "|---" * len(head) + "|",
            *("| " + " | ".join(cells) + " |" for cells in body),
        ]
    )


def _joined(line: dict[str, Any], splits: Sequence[str]) -> np.ndarray:
    return np.concatenate([np.array(line["logits"][split]) for split in splits])


def _scores(logits: np.ndarray, teacher: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each row adds to the figures, in nats but for accuracy; logits: (rows, classes)."""
    p, q = (each - np.logaddexp.reduce(each, axis=1, keepdims=True) for each in (logits, teacher))
    return {
        "accuracy": (logits.argmax(axis=1) == labels).astype(np.float64),
        "divergence": (np.exp(q) * (q - p)).sum(axis=1),
        "cross_entropy": -p[np.arange(len(labels)), labels],
    }


def _seeds(mixture: Mixture, scores: dict[str, Scores]) -> list[int]:
    found = scores["accuracy"]
    return sorted(found[mixture.name].keys() & found[str(mixture.against)].keys())


def _paired(mixture: Mixture, scores: Scores) -> np.ndarray:
    own, others = scores[mixture.name], scores[str(mixture.against)]
    return np.stack([own[seed] - others[seed] for seed in sorted(own.keys() & others.keys())])


def _cells(
    mixture: Mixture,
    pairs: Sequence[Mixture],
    scores: dict[str, Scores],
    compared: dict[str, Compared],
    run: dict[str, Any],
) -> list[str]:
    def mean(figure: str) -> float:
        return float(np.mean([each.mean() for each in scores[figure][mixture.name].values()]))

    cells = [mixture.name, f"{100 * mean('accuracy'):.1f}", f"{100 * mean('dev'):.1f}", f"{mean('divergence'):.3f}"]
    cells += [f"{mean('cross_entropy'):.3f}", str(len(scores["accuracy"][mixture.name]))]
    cells += [f"{run['parameters'] / 1e6:.1f} M", mixture.against or ""]
    if mixture not in pairs:
        return [*cells, "", ""]
    index = pairs.index(mixture)
    for figure, factor, digits in (("accuracy", 100, 1), ("divergence", 1, 3)):
        found = [factor * each[index] for each in compared[figure]]
        mark = "**" if found[1] > 0 or found[2] < 0 else ""
        cells.append("{}{:+.{d}f}{} ({:+.{d}f} to {:+.{d}f})".format(mark, found[0], mark, *found[1:], d=digits))
    return cells
