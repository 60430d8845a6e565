"""Taggers on sentences whose tags are known: they learn them from the word, its neighbours and the tags beside it."""

import ctypes

import numpy as np
import pytest

from pipeline.evaluation import taggers
from pipeline.evaluation.figures import score
from pipeline.evaluation.taggers import Words
from pipeline.words import Span, tags_of, words

LABELS = ["artist", "city"]
# in these "rome" is a city after "in", an artist after "by"; "new york" one span
TRAIN = [
    "play songs by rome",
    "concerts in rome",
    "play songs by anna",
    "concerts in new york",
    "songs by new york",
    "nothing here",
    "the concerts in rome , songs by anna",
] * 6
TEST = ["play songs by rome", "the concerts in anna , songs by new york", "concerts in new york", "nothing"]


def spans(text: str) -> list[Span]:
    """Return the names after `by`, artists, and after `in`, cities."""
    found = []
    for word, label in (("by", "artist"), ("in", "city")):
        for name in ("rome", "anna", "new york"):
            start = text.find(f"{word} {name}")
            if start >= 0:
                found.append((start + 3, start + 3 + len(name), label))
    return sorted(found)


def tags(texts: list[str]) -> np.ndarray:
    return np.array([tag for text in texts for tag in tags_of(words(text), spans(text), LABELS)])


def dev_score(texts: list[str]) -> taggers.DevScore:
    rows = Words.of(texts)
    return lambda found: score("span_f1", [spans(text) for text in texts], rows.spans(texts, found, LABELS))


def test_words_of_texts_and_the_spans_that_tags_spell() -> None:
    texts = ["in new york", "", "anna, rome"]
    rows = Words.of(texts)
    assert rows.words == ["in", "new", "york", "anna", ",", "rome"]
    assert rows.rows.tolist() == [0, 3, 3, 6] and rows.by_row == [["in", "new", "york"], [], ["anna", ",", "rome"]]
    found = rows.spans(texts, np.array([0, 3, 4, 1, 0, 3]), LABELS)
    assert found == [[(3, 11, "city")], [], [(0, 4, "artist"), (6, 10, "city")]]


def test_rows_that_were_cut_keep_their_first_words() -> None:
    rows = Words.of(["in new york", "anna"], np.array([0, 2, 3]))
    assert rows.words == ["in", "new", "anna"]
    assert rows.spans(["in new york", "anna"], np.array([0, 3, 1]), LABELS) == [[(3, 6, "city")], [(0, 4, "artist")]]


def test_the_most_frequent_tag_of_a_word_and_of_all_for_an_unknown_one() -> None:
    known = Words.of(["rome rome rome anna it it"])
    found = taggers.most_frequent_tag(known, np.array([3, 1, 3, 1, 0, 0]), Words.of(["it anna rome other"]))
    assert found.tolist() == [0, 1, 3, 0]  # three tags occur twice: the first
    even = taggers.most_frequent_tag(Words.of(["a a"]), np.array([3, 1]), Words.of(["a"]))
    assert even.tolist() == [1]


def test_the_crf_reads_neighbours_where_the_most_frequent_tag_is_wrong() -> None:
    dev = TRAIN[:7]
    known, on_dev, test = Words.of(TRAIN), Words.of(dev), Words.of(TEST)
    found = taggers.conditional_random_field(known, tags(TRAIN), on_dev, test, dev_score(dev))
    assert test.spans(TEST, found, LABELS) == [spans(text) for text in TEST]
    assert (taggers.most_frequent_tag(known, tags(TRAIN), test) != tags(TEST)).any()


def test_the_crf_learns_what_only_the_tags_beside_each_other_tell() -> None:
    """Tags 1, 2, 1, 2, ... from a first word that says which; the others are words never seen, all of one shape."""
    known = Words.of([f"{first} {' '.join(unseen(8, seed))}" for seed, first in enumerate(("a", "b") * 40)])
    turns = {"a": [1, 2] * 4 + [1], "b": [2, 1] * 4 + [2]}
    tags = np.array([tag for row in known.by_row for tag in turns[row[0]]])
    test = Words.of([f"{first} {' '.join(unseen(8, seed))}" for seed, first in enumerate("ab", start=1000)])
    found = taggers.conditional_random_field(known, tags, known, test, lambda said: float((said == tags).mean()))
    assert found.tolist() == turns["a"] + turns["b"]


def unseen(count: int, seed: int) -> list[str]:
    return ["".join(word) for word in np.random.default_rng(seed).choice([*"cdefghijklmnop"], (count, 6))]


def test_the_crf_is_the_same_whatever_was_drawn_before() -> None:
    """Where there is no rule to learn, so that the order of the rows in training shows."""
    known = Words.of([" ".join(unseen(6, seed % 150)) for seed in range(200)])
    test = Words.of([" ".join(unseen(6, seed)) for seed in range(300, 400)])
    learnt = np.random.default_rng(0).integers(0, 4, len(known.words))
    found = []
    for drawn in (3, 4):
        ctypes.CDLL(None).srand(drawn)
        found.append(taggers.conditional_random_field(known, learnt, test, test, lambda said: 0.0))
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize(("scores", "chosen"), [((1.0, 0.0), "none"), ((0.0, 1.0), "all"), ((0.5, 0.5), "none")])
def test_dev_chooses_the_penalty_and_the_larger_one_stays_where_they_tie(
    scores: tuple[float, float], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taggers, "REGULARISATION", (1e4, 0.1))  # under the first nothing can be learnt
    known, test, left = Words.of(TRAIN), Words.of(TEST), iter(scores)
    found = taggers.conditional_random_field(known, tags(TRAIN), known, test, lambda said: next(left))
    assert found.tolist() == {"none": [0] * len(test.words), "all": tags(TEST).tolist()}[chosen]


def test_rows_without_words_are_no_matter() -> None:
    texts = ["", *TRAIN, ""]
    test = Words.of(["", *TEST, ""])
    found = taggers.conditional_random_field(Words.of(texts), tags(texts), Words.of([""]), test, lambda found: 0.0)
    assert test.spans(["", *TEST, ""], found, LABELS) == [[], *(spans(text) for text in TEST), []]


def test_tags_that_never_vary_need_no_model() -> None:
    known, test = Words.of(["a b"]), Words.of(["c d e"])
    assert taggers.conditional_random_field(known, np.array([2, 2]), known, test, lambda found: 0.0).tolist() == [2] * 3
    vectors = np.zeros((2, 4))
    assert taggers.frozen_encoder_tagger(vectors, np.array([3, 3]), vectors, vectors, lambda found: 0.0).tolist() == [
        3,
        3,
    ]


def test_the_distilled_one_follows_the_teacher_not_the_labels() -> None:
    """A teacher that takes artists for cities and cities for artists, and is unsure of one text that is neither."""
    texts = [*TRAIN, "in anna"]
    turned = np.array([0, 3, 4, 1, 2])[tags(texts)]
    logits = np.where(np.eye(5)[turned] > 0, 6.0, -6.0).astype(np.float32)
    logits[-1] = 0.0
    logits[-1, 1] = 0.01
    found = taggers.distilled_conditional_random_field(
        Words.of(texts), logits, Words.of(TEST[:1]), Words.of(TEST), lambda found: 0.0
    )
    answers = Words.of(TEST).spans(TEST, found, LABELS)
    other = {"artist": "city", "city": "artist"}
    assert answers == [[(start, end, other[label]) for start, end, label in spans(text)] for text in TEST]


def test_vectors_of_words_are_separated_and_the_best_on_dev_is_taken() -> None:
    random = np.random.default_rng(0)
    own = np.arange(60) % 3
    vectors = random.normal(size=(60, 8)) + 8 * np.eye(8)[own]
    asked = []

    def judge(found: np.ndarray) -> float:
        asked.append(found)
        return float(np.mean(found == own[:30]))

    assert taggers.frozen_encoder_tagger(vectors, own, vectors[:30], vectors[30:], judge).tolist() == own[30:].tolist()
    assert len(asked) == len(taggers.INVERSE_REGULARISATION)


@pytest.mark.parametrize(
    ("word", "shape"), [("McX-9", "XxX-9"), ("2024", "9"), ("東京", "x"), ("USA", "X"), ("don't", "x'x")]
)
def test_the_shape_of_a_word(word: str, shape: str) -> None:
    assert taggers.word_and_shape(word) == [f"word {word.lower()}", f"shape {shape}"]


def test_the_features_of_a_word_by_hand() -> None:
    first, last = taggers.features(["In", "rome"])
    assert first == [
        *("-2 none", "-1 none", "0 word in", "0 shape Xx", "1 word rome", "1 shape x", "2 none"),
        *("after  in", "before rome in"),
        *("starts i", "ends n", "starts in", "ends in", "starts in", "ends in"),
    ]
    assert last[:7] == ["-2 none", "-1 word in", "-1 shape Xx", "0 word rome", "0 shape x", "1 none", "2 none"]
    assert last[-2:] == ["starts rom", "ends ome"]
