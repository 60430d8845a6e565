"""Sentences of the transfer set: where they end, how long they are, which ones are taken."""

import hashlib
import math
import random

import pytest

from pipeline.tokenization.transfer import (
    count_words,
    importance,
    recombine,
    select_sentences,
    split_sentences,
)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One here. Two?! Three", ["One here.", "Two?!", "Three"]),
        ('He said "Go!" Then he left… (Really.) Yes', ['He said "Go!"', "Then he left…", "(Really.)", "Yes"]),
        ("Version 3.5 of a.b.c", ["Version 3.5 of a.b.c"]),
        ("a line\nanother\n\n third", ["a line", "another", "third"]),
        ("很好看。“真的！”他说……走了？是的", ["很好看。", "“真的！”", "他说……", "走了？", "是的"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, sentences: list[str]) -> None:
    assert [sentence for sentence in split_sentences(text) if sentence] == sentences


def test_two_characters_without_spaces_count_as_a_word() -> None:
    assert count_words("a plain sentence") == 3
    assert count_words("très bien") == 2
    assert count_words("电影很好看") == 3
    assert count_words("看 movie 吧") == 2


def test_selection_is_distinct_bounded_and_sorted_by_content_hash() -> None:
    texts = ["One two three. One two three. Too short. A b c d e f g."]
    chosen = select_sentences(texts, 10, min_words=3, max_words=6)
    assert chosen == [(hashlib.sha256(b"One two three.").hexdigest()[:16], "One two three.")]
    assert select_sentences(texts, 0, min_words=1, max_words=9) == []


def test_selection_depends_on_content_not_on_position() -> None:
    texts = [f"Sentence number {i} stands here. And {i} more words follow it." for i in range(100)]
    shuffled = random.Random(0).sample(texts, len(texts))
    chosen = select_sentences(texts, 20, 3, 9)
    assert len(chosen) == 20
    assert chosen == sorted(chosen) == select_sentences(shuffled, 20, 3, 9)
    every = select_sentences(texts, 1000, 3, 9)
    assert len(every) == 200 and every[:20] == chosen


def test_importance_is_the_log_ratio_of_two_bags_of_words() -> None:
    # bags hold words and pairs: like {a: 2, "a a": 1}, texts {a: 1, b: 2, "b b": 1}; 65,536 buckets get one more each
    like, texts = 3 + 2**16, 4 + 2**16
    a = math.log(3 / like) - math.log(2 / texts)
    b, b_b = math.log(1 / like) - math.log(3 / texts), math.log(1 / like) - math.log(2 / texts)
    assert importance(["a", "b b"], ["a a"]) == pytest.approx([a, 2 * b + b_b])


def test_selection_leans_towards_the_rows_and_stays_independent_of_order() -> None:
    plots = [f"The man number {i} walks into the old house." for i in range(300)]
    verdicts = [f"A dull and lifeless comedy, number {i}." for i in range(60)]
    texts = random.Random(0).sample(plots + verdicts, 360)
    like = ["a dull and lifeless thriller", "a warm and funny comedy"] * 50
    chosen = select_sentences(texts, 60, 3, 12, like)
    assert len(chosen) == 60 and chosen == sorted(chosen) == select_sentences(sorted(texts), 60, 3, 12, like)
    assert sum(text in verdicts for _, text in chosen) > 50  # a fair sample would hold 10
    assert select_sentences(texts, 400, 3, 12, like) == select_sentences(texts, 400, 3, 12)


def test_recombined_texts_are_runs_and_splices_of_the_rows() -> None:
    rows = ["a b c d e f", "g h i j k", "这部电影非常好看"]
    chosen = recombine(rows, 400, min_words=3, max_words=7, seed=1)
    assert chosen == sorted(chosen) == recombine(rows, 400, 3, 7, seed=1) != recombine(rows, 400, 3, 7, seed=2)
    assert 50 < len(chosen) <= 400 and not {text for _, text in chosen} & set(rows)
    beginnings = [row[:stop].strip() for row in rows for stop in range(1, len(row) + 1)]
    ends = [row[start:].strip() for row in rows for start in range(len(row))]
    splices = {f"{beginning} {end}" for beginning in beginnings for end in ends}
    for _, text in chosen:
        assert 3 <= count_words(text) <= 7
        assert text in splices or any(text in row for row in rows)
    assert recombine(["too short"], 10, 3, 7, seed=1) == []
