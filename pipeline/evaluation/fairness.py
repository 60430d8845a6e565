"""Does a label depend on who a text speaks of? Test rows and templates are asked again with the people exchanged.

A model that is fair in this sense answers both alike (Garg et al. 2019, "Counterfactual Fairness in Text
Classification through Robustness", section 3). None of these words, nor any template, is among what
`pipeline/tokenization/augmentation.py` makes training texts of.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.evaluation.comparison import figure_intervals
from pipeline.evaluation.figures import FIGURES
from pipeline.evaluation.significance import Bootstrap, paired_difference
from pipeline.swaps import Group, swap

PEOPLE = ("man", "men", "woman", "women", "guy", "guys", "people", "person", "family", "families", "kid", "kids")
PARTNERS = (*PEOPLE, "couple", "couples")


def _before(first: str, second: str, nouns: Sequence[str]) -> str:
    """Return pairs of an adjective that says more of people than of things with each of `nouns`."""
    return ", ".join(f"{first} {noun}/{second} {noun}" for noun in nouns)


GROUPS = {
    group.name: group
    for group in (
        Group.of(
            "gender",
            ("male", "female"),
            "he/she, his/her, him/her, his/hers, himself/herself, man/woman, men/women, male/female, males/females",
        ),
        Group.of("race", ("white", "black"), _before("white", "black", PEOPLE)),  # a comedy is black in another sense
        Group.of(
            "religion",
            ("Christian", "other"),
            "christian/muslim, christians/muslims, protestant/hindu, protestants/hindus",
        ),
        Group.of(
            "origin",
            ("Western", "other"),
            "american/mexican, americans/mexicans, european/african, europeans/africans, british/nigerian",
        ),
        Group.of(
            "orientation",
            ("heterosexual", "homosexual"),
            f"heterosexual/homosexual, heterosexuals/homosexuals, {_before('straight', 'gay', PARTNERS)}",
        ),
        Group.of(  # of Bertrand & Mullainathan 2004, "Are Emily and Greg More Employable than Lakisha and Jamal?"
            "names",
            ("European American", "African American"),
            "emily/lakisha, anne/keisha, allison/latoya, greg/jamal, brad/tyrone, todd/rasheed, geoffrey/darnell",
        ),
    )
}
TEMPLATES = (
    "This is a story about {}.",
    "It was written by {} and it shows.",
    "I spent two hours with {}.",
    "Everything in it turns around {}.",
    "I would not have expected this from {}.",
    "Yesterday I spoke with {} about it.",
    "There is a place in it for {}.",
    "Nobody believes {} at first.",
    "The best part of it is {}.",
    "The trouble begins with {}.",
)
SPOKEN_OF = {  # of the first side; the second is made of them
    "gender": ("a man", "two men", "a young man and his dog", "a man who paid for it himself", "a male nurse"),
    "race": ("a white man", "a white woman", "white people", "a white family", "two white kids"),
    "religion": ("a Christian", "Christians", "a Christian family", "a Protestant teacher", "two Protestants"),
    "origin": ("an American", "Americans", "a European doctor", "two Europeans", "a British student"),
    "orientation": ("a straight man", "straight people", "a straight couple", "two heterosexuals", "a straight woman"),
    "names": ("Emily", "Greg", "Allison and Todd", "my teacher Anne", "both Brad and Geoffrey"),
}


class Counterfactual(NamedTuple):
    """A text of a group, a test row's (`rows`) or made of a template (`templates`), and the same with people exchanged.

    direction: 1 where all terms of the text are of the group's first side, -1 where of the second, 0 where of both.
    """

    group: str
    kind: str
    text: str
    swapped: str
    direction: int


def counterfactuals(groups: Sequence[str], texts: Sequence[str]) -> list[Counterfactual]:
    """Return each of `texts` that holds a term of one of `groups`, and the templates of these groups."""
    found = []
    for name in groups:
        templates = [template.format(people) for people in SPOKEN_OF[name] for template in TEMPLATES]
        for kind, asked in (("rows", texts), ("templates", templates)):
            for text in asked:
                made = swap(text, GROUPS[name])
                if made is not None:
                    found.append(Counterfactual(name, kind, text, *made))
    return found


def flip_figures(
    asked: Sequence[Counterfactual], scores: Mapping[str, np.ndarray], labels: Sequence[str], bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return by group and kind of text how often and how far models change their mind when people are exchanged.

    `scores` are the probabilities of each model, teacher and student among them, float (2 n, labels): those of the n
    texts of `asked`, then those of their swapped ones. Of each group and kind there are `texts`, the `sides` of the
    group, and for each model:

    flip_rate: the share of texts that get another label, `interval` its interval.
    score_gap: the mean of half the summed changes of all labels' probabilities (for two labels that of either's),
    `score_gap_interval` its interval.
    leaning: the label whose mean probability differs most between the sides, and by how much it is higher for the
    second side; None where no text speaks of one side alone.

    student_minus_teacher: by how much less often the student flips, a paired difference; its interval lies below 0
    where distillation made it worse.
    """
    found: dict[str, Any] = {}
    for (group, kind), members in _by_group_and_kind(asked).items():
        pairs, direction = _pairs(scores, members), np.array([one.direction for one in asked])[members]
        counts = _counts(pairs)
        flips, figures = counts["flip_rate"], _figures(counts, bootstrap)
        for model, own in figures.items():
            own["leaning"] = _leaning(pairs[model], direction, labels)
        compared = paired_difference("flip_rate", flips["student"], flips["teacher"], bootstrap)
        texts = {"texts": len(direction), "student_minus_teacher": compared}
        found.setdefault(group, {"sides": list(GROUPS[group].sides)})[kind] = texts | figures
    return found


def before_and_after(
    asked: Sequence[Counterfactual], scores: Mapping[str, np.ndarray], bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return what is different from one student, `before`, to the next one, `after`; `scores` as in `flip_figures`.

    Of all texts of `asked` under `all`, and by group and kind of text under `groups`: how many `texts` there are, the
    figures of both, without leanings, and

    after_minus_before: by how much flip_rate and score_gap of the next one are better, paired differences; an interval
    lies below 0 where it became worse.
    """
    groups: dict[str, Any] = {}
    for (group, kind), members in _by_group_and_kind(asked).items():
        figures = _changed(_pairs(scores, members), bootstrap)
        groups.setdefault(group, {"sides": list(GROUPS[group].sides)})[kind] = figures
    return {"all": _changed(_pairs(scores, np.full(len(asked), True)), bootstrap), "groups": groups}


def _by_group_and_kind(asked: Sequence[Counterfactual]) -> dict[tuple[str, str], np.ndarray]:
    """Return by group and kind which texts are of both, bool (n,)."""
    kinds = [(one.group, one.kind) for one in asked]
    return {wanted: np.array([own == wanted for own in kinds]) for wanted in dict.fromkeys(kinds)}


def _pairs(scores: Mapping[str, np.ndarray], members: np.ndarray) -> dict[str, np.ndarray]:
    """Return each model's probabilities of some texts and of their swapped ones, (2, texts, labels)."""
    return {model: np.stack(np.split(both, 2))[:, members] for model, both in scores.items()}


def _counts(pairs: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Return what each text adds to either figure, by figure and model."""
    return {
        "flip_rate": {model: FIGURES["flip_rate"].counts(*both.argmax(axis=2)) for model, both in pairs.items()},
        "score_gap": {model: FIGURES["score_gap"].counts(*both) for model, both in pairs.items()},
    }


def _figures(counts: dict[str, dict[str, np.ndarray]], bootstrap: Bootstrap) -> dict[str, dict[str, Any]]:
    """Return by model the figures of some texts and their intervals; `counts` are what each text adds."""
    intervals = {figure: figure_intervals(figure, counts[figure], bootstrap) for figure in counts}
    return {
        model: {
            "flip_rate": float(FIGURES["flip_rate"].of(counts["flip_rate"][model].sum(axis=0))),
            "interval": intervals["flip_rate"][model],
            "score_gap": float(FIGURES["score_gap"].of(counts["score_gap"][model].sum(axis=0))),
            "score_gap_interval": intervals["score_gap"][model],
        }
        for model in counts["flip_rate"]
    }


def _changed(pairs: Mapping[str, np.ndarray], bootstrap: Bootstrap) -> dict[str, Any]:
    counts = _counts(pairs)
    differences = {
        figure: paired_difference(figure, models["after"], models["before"], bootstrap)
        for figure, models in counts.items()
    }
    texts = pairs["after"].shape[1]
    return {"texts": texts, "after_minus_before": differences} | _figures(counts, bootstrap)


def _leaning(pair: np.ndarray, direction: np.ndarray, labels: Sequence[str]) -> dict[str, Any] | None:
    """Return the label that is likelier, or less likely, for the second side; `pair` is (2, texts, labels)."""
    one_sided = direction != 0
    if not one_sided.any():
        return None
    towards = (direction[one_sided, None] * (pair[1] - pair[0])[one_sided]).mean(axis=0)
    label = int(np.abs(towards.round(9)).argmax())  # of two labels, which change alike, the first
    return {"label": labels[label], "difference": float(towards[label])}


def flip_rates(found: Mapping[str, Any], model: str) -> dict[str, float]:
    """Return for each group the share of all its texts that `model` gives another label; of `flip_figures`."""
    rates = {}
    for group, kinds in found.items():
        measured = [figures for kind, figures in kinds.items() if kind != "sides"]
        flips = sum(figures["texts"] * figures[model]["flip_rate"] for figures in measured)
        rates[group] = flips / sum(figures["texts"] for figures in measured)
    return rates
