"""The ablation's own parts: intervals for many comparisons at once, its order of work, its plan against the schema."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from ablation import lines_of, planned  # noqa: E402
from ablation_mixtures import MIXTURES  # noqa: E402
from ablation_students import Options, changed  # noqa: E402
from ablation_table import simultaneous, table  # noqa: E402

ZERO = [[0.0, 0.0]]


def test_every_mixture_is_a_valid_section_and_has_what_it_is_compared_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names = [mixture.name for mixture in MIXTURES]
    assert len(set(names)) == len(names)
    for mixture in MIXTURES:
        assert mixture.against is None or names.index(mixture.against) < names.index(mixture.name)
        for losses in filter(None, (mixture.losses, mixture.first)):
            section = changed(mixture, losses, 3, Options("sentiment", 100, 4, tmp_path)).tasks["sentiment"]
            assert {name: weight for name, weight in section.distill.losses.model_dump().items() if weight} == losses
            assert section.distill.training.epochs == 4


def test_one_interval_is_the_normal_one_and_twenty_are_wider_by_the_quantile_of_their_maximum() -> None:
    draws = np.random.default_rng(0)
    alone = [draws.normal(0.5, 2.0, (1, 1000))]
    found = simultaneous(alone)
    error = alone[0].std() / np.sqrt(1000)
    assert found.differences[0] == pytest.approx(alone[0].mean())
    assert (found.high - found.low)[0] == pytest.approx(2 * 1.96 * error, rel=0.04)
    many = simultaneous([*alone, *(draws.normal(0.0, 1.0, (1, 1000)) for _ in range(19))])
    # the 97.5 % point of one normal becomes that of the largest of 20 independent ones: 0.95 ** (1 / 20) of both sides
    assert (many.high - many.low)[0] == pytest.approx(2 * 3.02 * error, rel=0.04)


def test_seeds_that_differ_widen_an_interval_by_their_own_error() -> None:
    rows = np.zeros((3, 500))
    shifted = rows + np.array([[-1.0], [0.0], [1.0]])
    found = simultaneous([shifted])
    # the median of chi² of two degrees of freedom is 2 ln 2
    assert (found.high - found.low)[0] == pytest.approx(2 * 1.96 / np.sqrt(3 * np.log(2)), rel=0.04)


def test_seeds_that_agree_by_chance_do_not_narrow_and_one_comparison_that_is_wild_does_not_widen_the_others() -> None:
    quiet, still, wild = (np.zeros((3, 500)) + by * np.array([[-1.0], [0.0], [1.0]]) for by in (0.1, 0.0, 10.0))
    widths = [
        found.high - found.low for found in (simultaneous([quiet] * 5), simultaneous([quiet] * 3 + [still, wild]))
    ]
    assert widths[0] == pytest.approx(2 * 2.57 * 0.1 / np.sqrt(3 * np.log(2)), rel=0.04)
    assert widths[1][:4] == pytest.approx(widths[0][:4], rel=0.04)
    assert widths[1][4] == pytest.approx(2 * 2.57 * 10 / np.sqrt(3), rel=0.04)


def test_a_difference_of_nothing_is_found_in_no_more_families_than_promised() -> None:
    draws, wrong = np.random.default_rng(5), 0
    for attempt in range(200):
        found = simultaneous([draws.normal(0, 1, (3, 200)) for _ in range(8)], samples=1_000, seed=attempt)
        wrong += bool((found.low > 0).any() or (found.high < 0).any())
    assert wrong <= 20  # 5 % of 200 are 10, standard deviation 3.1


def test_the_table_pairs_a_mixture_with_the_one_of_its_shape(tmp_path: Path) -> None:
    labels = [0, 1] * 50
    right = [[2.0, 0.0] if label == 0 else [0.0, 2.0] for label in labels]
    wrong = [row[::-1] for row in right[:20]] + right[20:]
    about = {"task": "t", "rows": 7, "epochs": 2, "steps": 9, "parameters": 1_500_000, "device": "here"}
    lines = [{"teacher": "t", "labels": {"dev": labels}, "logits": {"dev": right}}]
    for seed in (1, 2):
        lines.append({"mixture": MIXTURES[0].name, "seed": seed, **about, "logits": {"dev": wrong}})
        lines.append({"mixture": MIXTURES[1].name, "seed": seed, **about, "logits": {"dev": right}})
    shown = table(lines).splitlines()
    assert "4 students, 9 steps each" in shown[0]
    first, second = ([cell.strip() for cell in line.split("|")[1:-1]] for line in shown[-2:])
    assert first[:3] == [MIXTURES[0].name, "80.0", "80.0"] and first[-2:] == ["", ""]
    assert second[:4] == [MIXTURES[1].name, "100.0", "100.0", "0.000"]
    assert second[-2].startswith("**+20.0**") and second[-3] == MIXTURES[0].name
    # a fifth of the rows lose 2 nats times the difference of the teacher's probabilities
    assert second[-1].startswith(f"**-{0.2 * 2 * np.tanh(1):.3f}**")


def test_finished_students_are_not_trained_again_and_a_cut_line_is(tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    out.write_text(json.dumps({"mixture": MIXTURES[0].name, "seed": 1}) + '\n{"mixture": "sof', encoding="utf-8")
    left = planned(lines_of(out), [1, 2], [])
    assert len(left) == 2 * len(MIXTURES) - 1
    assert (MIXTURES[0], 1) not in left and (MIXTURES[0], 2) in left
    of_layers = [mixture.of_layers for mixture, _ in left]
    assert of_layers[0] and not of_layers[1] and of_layers[1:] == sorted(of_layers[1:])


def test_the_second_half_begins_with_all_weights_of_the_first(tmp_path: Path) -> None:
    from pipeline.distillation.student import build_student, start_from_teacher

    task = changed(MIXTURES[0], MIXTURES[0].losses, 1, Options("sentiment", 100, 2, tmp_path)).tasks["sentiment"]
    vocabulary = {"head": "text_classification", "vocabulary_size": 200, "pad_token_id": 0}
    first, second = (build_student(task.student, **vocabulary, seed=seed) for seed in (1, 2))
    first.save_pretrained(tmp_path)
    same = task.student.model_copy(update={"embeddings": "teacher", "layers": "teacher"})
    start_from_teacher(second, same, tmp_path, np.arange(200))
    weights = first.state_dict()
    assert all(bool((weights[name] == tensor).all()) for name, tensor in second.state_dict().items())
