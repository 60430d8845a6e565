"""Taggers on sentences whose tags are known: they learn them from the word, its neighbours and the tag before."""

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
    assert rows.rows.tolist() == [0, 3, 3, 6] and rows.row_of_word.tolist() == [0, 0, 0, 2, 2, 2]
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


def test_the_linear_tagger_reads_neighbours() -> None:
    found = taggers.linear_tagger(
        Words.of(TRAIN), tags(TRAIN), Words.of(TRAIN[:7]), Words.of(TEST), dev_score(TRAIN[:7])
    )
    answers = Words.of(TEST).spans(TEST, found, LABELS)
    assert answers == [spans(text) for text in TEST]
    again = taggers.linear_tagger(
        Words.of(TRAIN), tags(TRAIN), Words.of(TRAIN[:7]), Words.of(TEST), dev_score(TRAIN[:7])
    )
    assert (found == again).all()


def test_tags_that_never_vary_need_no_model() -> None:
    known, test = Words.of(["a b"]), Words.of(["c d e"])
    assert taggers.linear_tagger(known, np.array([0, 0]), known, test, lambda found: 0.0).tolist() == [0, 0, 0]
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
    found = taggers.distilled_linear_tagger(
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
    found = taggers.word_features(word)
    assert f"shape {shape}" in found and f"word {word.lower()}" in found
    assert f"starts {word.lower()[:3]}" in found and f"ends {word.lower()[-2:]}" in found


def test_a_word_at_the_border_of_a_row_does_not_see_the_next_row() -> None:
    window = taggers.Window(Words.of(["a b", "c"]))
    together, alone = window.features(Words.of(["a b", "c"])), window.features(Words.of(["c"]))
    assert (together[[2]] != alone).nnz == 0
