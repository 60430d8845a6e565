"""The gate's error rates, by simulation: one candidate, and twelve months of them on one test set."""

import numpy as np
import pytest
from scipy.stats import norm

from pipeline.params import GateParams, load_params
from pipeline.registry.gate import Comparison, Costs, Decision, decide
from pipeline.words import Span
from tests.trust.whole_project import ROOT

ROWS = 1629  # the default job's test split
LABELS = np.arange(ROWS) % 2
MONTHS, YEARS = 12, 1000


def gate(**changes: object) -> GateParams:
    shipped = load_params(ROOT / "params.yaml").tasks["sentiment"].gate
    return shipped.model_copy(update={"bootstrap_samples": 1000} | changes)


class Rows:
    """Test rows of unequal hardness: models get the hard ones wrong together, as real models do."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.hardness = random.normal(size=ROWS)

    def answers(self, accuracy: float) -> np.ndarray:
        """Answers of a new model whose expected accuracy on such rows is `accuracy`."""
        own = self.random.normal(size=ROWS)
        difficulty = 0.9 * self.hardness + np.sqrt(1 - 0.9**2) * own
        return np.where(difficulty > norm.ppf(accuracy), 1 - LABELS, LABELS)


def judged(rules: GateParams, candidate: np.ndarray, champions: dict[int, np.ndarray], earlier: int = 0) -> Decision:
    return decide(rules, Comparison(LABELS, candidate, champions, earlier), Costs(1, 1.0))


def spans_of(answers: np.ndarray) -> list[list[Span]]:
    """Return one to three spans a row, all of them right or all wrong: so is the F1 of spans what accuracy is."""
    label = np.where(answers == LABELS, "right", "wrong").tolist()
    return [[(4 * place, 4 * place + 2, label[row]) for place in range(1 + row % 3)] for row in range(ROWS)]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "span_f1"])
@pytest.mark.parametrize(("rule", "loss"), [("better", 0.0), ("not_worse", 0.01)])
def test_one_candidate_that_should_not_pass_does_so_in_at_most_five_percent(
    metric: str, rule: str, loss: float
) -> None:
    """Equal models under the rule `better`, and one worse by the whole margin under the default rule."""
    random, passed = np.random.default_rng(23), 0
    candidates = 200 if metric == "span_f1" else 1000  # spans take longer to count
    for _ in range(candidates):
        rows = Rows(random)
        answers = LABELS, rows.answers(0.82 - loss), rows.answers(0.82)
        actual, candidate, champion = map(spans_of, answers) if metric == "span_f1" else answers
        comparison = Comparison(actual, candidate, {1: champion})
        passed += decide(gate(rule=rule, metric=metric), comparison, Costs(1, 1.0)).alias == "champion"
    assert passed <= 0.05 * candidates


def year(random: np.random.Generator, rules: GateParams, monthly_loss: float, *, forgetful: bool = False) -> float:
    """Return the true accuracy of the champion after twelve candidates on one test set, each worse than the champion
    of its month by `monthly_loss`. A `forgetful` gate counts nothing and knows the present champion only.
    """
    rows, champions, accuracy = Rows(random), {}, 0.82
    champions[0] = rows.answers(accuracy)
    for month in range(1, MONTHS + 1):
        candidate = rows.answers(accuracy - monthly_loss)
        decision = judged(rules, candidate, champions, 0 if forgetful else month - 1)
        if decision.alias == "champion":
            champions = {month: candidate} if forgetful else champions | {month: candidate}
            accuracy -= monthly_loss
    return accuracy


@pytest.mark.slow
def test_twelve_monthly_candidates_do_not_creep() -> None:
    """Each is a margin worse than the champion of its month: in at most 5 % of years even one of them passes."""
    random = np.random.default_rng(29)
    ends = np.array([year(random, gate(), 0.01) for _ in range(YEARS)])
    assert np.mean(ends < 0.82) <= 0.05
    forgetful = np.array([year(random, gate(), 0.01, forgetful=True) for _ in range(100)])
    assert np.mean(forgetful < 0.82) > 0.1  # what counting and remembering is for


@pytest.mark.slow
def test_small_steps_do_not_add_up() -> None:
    """Each is half a margin worse: the champion may lose one margin to its best, hardly ever more."""
    random = np.random.default_rng(31)
    ends = np.array([year(random, gate(), 0.005) for _ in range(YEARS)])
    assert np.mean(ends < 0.82 - 0.01 - 1e-9) <= 0.05


@pytest.mark.slow
def test_twelve_equal_candidates_are_hardly_ever_called_better() -> None:
    random, passed = np.random.default_rng(37), 0
    for _ in range(YEARS):
        rows = Rows(random)
        champion, rules = rows.answers(0.82), gate(rule="better")
        passed += any(
            judged(rules, rows.answers(0.82), {0: champion}, month).alias == "champion" for month in range(MONTHS)
        )
    assert passed <= 0.05 * YEARS


def test_the_power_is_what_the_documentation_states() -> None:
    lines = [line for line in (ROOT / "docs/trust.md").read_text(encoding="utf-8").splitlines() if "| 0.0" in line]
    random, columns = np.random.default_rng(41), [(0, 0.05), (0, 0.13), (5, 0.05), (5, 0.13)]
    for line in lines:
        rule, difference, *stated = [cell.strip() for cell in line.strip("|").split("|")]
        for (earlier, disagreement), power in zip(columns, stated, strict=True):
            found = power_of(random, gate(rule=rule), float(difference), disagreement, earlier)
            assert found == pytest.approx(float(power), abs=0.07), line
    assert len(lines) == 6


def power_of(
    random: np.random.Generator, rules: GateParams, difference: float, disagreement: float, earlier: int
) -> float:
    """Return how many of 200 candidates pass whose accuracy differs truly by `difference`."""
    passed = 0
    for _ in range(200):
        gained, lost, _both = random.multinomial(
            ROWS, [(disagreement + difference) / 2, (disagreement - difference) / 2, 1 - disagreement]
        )
        rows = np.arange(ROWS)
        champion = np.where(rows < gained, 1 - LABELS, LABELS)
        candidate = np.where((gained <= rows) & (rows < gained + lost), 1 - LABELS, LABELS)
        passed += judged(rules, candidate, {0: champion}, earlier).alias == "champion"
    return passed / 200
