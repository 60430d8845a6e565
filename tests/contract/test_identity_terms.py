"""What models are taught by and what they are measured by are different words, and each list can be read back."""

import re
from itertools import chain

import pytest

from pipeline.evaluation import fairness
from pipeline.params import load_params
from pipeline.swaps import Group, swap
from pipeline.tokenization import augmentation
from tests.stages.tokenization_project import ROOT

MEASURED, TAUGHT = list(fairness.GROUPS.values()), list(augmentation.GROUPS)
PRONOUNS = {"his", "her", "him", "hers"}  # in more than one pair


def words(group: Group) -> set[str]:
    return set(chain.from_iterable(term.split() for pair in group.pairs for term in pair))


def test_no_word_that_is_taught_by_is_measured_by() -> None:
    described = f"{' '.join(augmentation.DESCRIBED.values())} {augmentation.PERSONS}"
    taught = set().union(*map(words, TAUGHT), re.findall(r"\w+", described.lower()))
    taught |= {f"{person}s" for person in augmentation.PERSONS.split()}
    measured = set().union(*map(words, MEASURED))
    spoken = " ".join([*fairness.TEMPLATES, *chain(*fairness.SPOKEN_OF.values())])
    assert not taught & measured
    assert not taught & set(re.findall(r"\w+", spoken.lower()))


@pytest.mark.parametrize("group", [*MEASURED, *TAUGHT], ids=lambda group: group.name)
def test_a_word_has_one_counterpart_and_swapping_twice_gives_the_text_back(group: Group) -> None:
    terms = [term for pair in group.pairs for term in pair if term not in PRONOUNS]
    assert len(terms) == len(set(terms)) and all(term == term.lower() for term in terms)
    for term in terms:
        there = swap(f"We saw {term} there.", group)
        assert there is not None and there.text != f"We saw {term} there."
        back = swap(there.text, group)
        assert back is not None and back.text == f"We saw {term} there."


def test_every_group_that_params_yaml_may_name_has_words_and_templates() -> None:
    groups = load_params(ROOT / "params.yaml").tasks["sentiment"].evaluate.identity_groups
    groups.append("names")  # not asked about by default
    assert [*augmentation.DESCRIBED, "names"] == groups
    assert groups == list(fairness.GROUPS) == list(fairness.SPOKEN_OF) == [group.name for group in TAUGHT]
    for one in fairness.counterfactuals(groups, []):
        assert one.kind == "templates" and one.direction == 1, one
    assert len(fairness.counterfactuals(groups, [])) == len(groups) * 5 * len(fairness.TEMPLATES)
