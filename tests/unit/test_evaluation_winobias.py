"""Pairs of WinoBias as it is published: what is read, what is left out, and broken files that are named."""

from pathlib import Path

import pytest

from pipeline.evaluation.stereotypes import StereotypePair
from pipeline.evaluation.winobias import KINDS, read_winobias
from pipeline.files import InputError

PRO = """1 [The cook] thanked the tailor because [she] was glad.
2 The cook thanked [the tailor] because [he] gave [his] coat away.
3 The cook and [the tailor] met and [he] left early.
4 [The cook] was glad that [she] had come.
"""
ANTI = """1 [The cook] thanked the tailor because [he] was glad.
2 The cook thanked [the tailor] because [she] gave [her] coat away.
3 The cook and [the tailor] met and [she] left late.
4 [The cook] was glad that [she] had come.
"""


def written(folder: Path, pro: str, anti: str, name: str = "type1.txt.dev") -> None:
    (folder / f"pro_stereotyped_{name}").write_text(pro, encoding="utf-8")
    (folder / f"anti_stereotyped_{name}").write_text(anti, encoding="utf-8")


def test_pairs_without_marks_but_for_those_that_differ_in_more_than_pronouns_or_in_nothing(tmp_path: Path) -> None:
    written(tmp_path, PRO, ANTI)
    written(tmp_path, "1 [The cook] met [him].", "1 [The cook] met [her].", "type2.txt.test")
    assert read_winobias(tmp_path) == (
        [
            StereotypePair(
                "The cook thanked the tailor because she was glad.",
                "The cook thanked the tailor because he was glad.",
                KINDS[1],
            ),
            StereotypePair(
                "The cook thanked the tailor because he gave his coat away.",
                "The cook thanked the tailor because she gave her coat away.",
                KINDS[1],
            ),
            StereotypePair("The cook met him.", "The cook met her.", KINDS[2]),
        ],
        2,
    )


@pytest.mark.parametrize(
    ("pro", "anti", "message"),
    [
        (
            PRO,
            ANTI.splitlines()[0],
            r"anti_stereotyped_type1\.txt\.dev: 1 lines, expected 4, as in pro_stereotyped_type1",
        ),
        ("1 [The cook] met [him].\nno number", ANTI, r"pro_stereotyped_type1\.txt\.dev: line 2: 'no number', expected"),
        (PRO, "1 without marks\n", r"anti_stereotyped_type1\.txt\.dev: line 1: '1 without marks', expected a number"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, pro: str, anti: str, message: str) -> None:
    written(tmp_path, pro, anti)
    with pytest.raises(InputError, match=message):
        read_winobias(tmp_path)


def test_a_folder_without_the_files_or_with_half_of_them_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pairs, expected the files of WinoBias"):
        read_winobias(tmp_path)
    (tmp_path / "pro_stereotyped_type1.txt.dev").write_text(PRO, encoding="utf-8")
    with pytest.raises(InputError, match=r"anti_stereotyped_type1\.txt\.dev: no such file"):
        read_winobias(tmp_path)
