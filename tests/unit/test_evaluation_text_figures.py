"""BLEU and chrF are sacrebleu's, from counts that rows add to; ROUGE on values worked out by hand."""

import random

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation import text_figures, writing_baselines
from pipeline.evaluation.figures import FIGURES, score

GERMAN = [
    "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche.",
    "Mehrere Männer mit Schutzhelmen bedienen ein Antriebsradsystem.",
    "Ein kleines Mädchen klettert in ein Spielhaus aus Holz, 3.5 m hoch.",
    "Kurz",
]
CHINESE = ["我们在公园里散步。", "他昨天没有来上班,因为他生病了。", "你好 world!"]
TEXTS = st.lists(st.text("ab c.,'ü东京0-\u00a0", max_size=20), min_size=1, max_size=6)


def damaged(text: str, chance: random.Random) -> str:
    return "".join(sign for sign in text if chance.random() < 0.9)


@pytest.mark.parametrize("references", [GERMAN, CHINESE], ids=["13a", "zh"])
def test_bleu_and_chrf_are_sacrebleus(references: list[str]) -> None:
    for seed in range(10):
        chance = random.Random(seed)
        answers = [damaged(text, chance) for text in references]
        tokenizer = "zh" if references == CHINESE else "13a"
        bleu = sacrebleu.corpus_bleu(answers, [references], tokenize=tokenizer).score
        chrf = sacrebleu.corpus_chrf(answers, [references]).score
        assert 100 * score("bleu", references, answers) == pytest.approx(bleu, abs=1e-9)
        assert 100 * score("chrf", references, answers) == pytest.approx(chrf, abs=1e-9)


@given(TEXTS, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_they_are_sacrebleus_of_any_texts(references: list[str], chance: random.Random) -> None:
    answers = ["".join(chance.sample(text, len(text))) for text in references]
    tokenizer = text_figures.bleu_signature(references).split("tok:")[1].split("|")[0]
    bleu = sacrebleu.corpus_bleu(answers, [references], tokenize=tokenizer).score
    assert 100 * score("bleu", references, answers) == pytest.approx(bleu, abs=1e-9)
    chrf = sacrebleu.corpus_chrf(answers, [references]).score
    assert 100 * score("chrf", references, answers) == pytest.approx(chrf, abs=1e-9)


def test_figures_of_resamples_are_those_of_the_rows_they_hold() -> None:
    answers = [damaged(text, random.Random(1)) for text in GERMAN]
    chosen = [0, 2, 2, 1]
    for name in ("bleu", "chrf", "rouge_l"):
        counts = FIGURES[name].counts(GERMAN, answers)
        sums = np.stack([counts[chosen].sum(axis=0), counts.sum(axis=0)])
        again = score(name, [GERMAN[row] for row in chosen], [answers[row] for row in chosen])
        assert FIGURES[name].of(sums).tolist() == pytest.approx([again, score(name, GERMAN, answers)])


def test_the_signature_says_what_sacrebleu_needs() -> None:
    metric = sacrebleu.BLEU()
    metric.corpus_score(GERMAN, [GERMAN])
    assert text_figures.bleu_signature(GERMAN) == str(metric.get_signature())


def test_rouge_by_hand() -> None:
    """Lin 2004, section 3.1: "police kill the gunman" has three of four words in order, the other one two."""
    wanted = ["Police killed the gunman."]
    assert score("rouge_l", wanted, ["police kill the gunman"]) == pytest.approx(3 / 4)
    assert score("rouge_l", wanted, ["the gunman kill police"]) == pytest.approx(2 / 4)
    assert score("rouge_1", wanted, ["the gunman, the police"]) == pytest.approx(2 * 3 / 8)
    assert score("rouge_2", wanted, ["police kill the gunman"]) == pytest.approx(2 * 1 / 6)
    assert score("rouge_1", ["a b", ""], ["a", ""]) == pytest.approx((2 / 3 + 1) / 2)
    assert score("rouge_1", ["今天下雨"], ["今天有雨"]) == pytest.approx(3 / 4)


def test_a_dictionary_is_learnt_from_pairs_of_sentences() -> None:
    """Knight 1999, "A Statistical MT Tutorial Workbook": that b is x follows from the row in which b is alone."""
    found = writing_baselines.word_by_word(["b c", "b"], ["x y", "y"], ["b c, d"])
    assert found == ["y x, d"]


def test_the_most_similar_text_answers() -> None:
    found = writing_baselines.of_most_similar(["a dog runs", "a cat"], ["x", "y"], ["the cat", "two dog runs"])
    assert found == ["y", "x"]


def test_leads_and_longest_sentences() -> None:
    text = "#A#: Hi. How are you?\n#B#: Fine!\nAnd where were you all the time?"
    assert writing_baselines.lead([text]) == ["#A#: Hi. How are you? #B#: Fine!"]
    assert writing_baselines.longest_sentence([text, ""]) == ["And where were you all the time?", ""]
