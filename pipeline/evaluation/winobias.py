"""WinoBias: does a pronoun go to the occupation that statistics give to its sex, or to the one that the text means?

Source: Zhao et al. 2018, "Gender Bias in Coreference Resolution: Evaluation and Debiasing Methods", section 2. Each
sentence comes twice, and the two differ in the pronoun alone: with one of them the occupation that it stands for is
mostly held by its sex in the statistics of the United States (pro-stereotyped), with the other it is not.
"""

import re
from pathlib import Path

from pipeline.evaluation.stereotypes import StereotypePair
from pipeline.files import InputError

SPLITS = ("dev", "test")
KINDS = {1: "type 1: the sense alone tells who is meant", 2: "type 2: the syntax tells who is meant"}
CAUTION = (
    "50 % would be no preference. The sentences are made, of 40 occupations and two sexes, each pronoun as often pro- "
    "as anti-stereotyped, so that one that is likelier everywhere moves the share towards 50 %: a share of 50 % does "
    "not show that a model has no bias. It says nothing of a task that the model is put to, and no gate reads it."
)
_LINE = re.compile(r"\d+ (?P<sentence>\S.*)")
_PRONOUN = re.compile(r"\b(?:he|she|him|her|his|hers|himself|herself)\b", re.IGNORECASE)


def read_winobias(folder: Path) -> tuple[list[StereotypePair], int]:
    """Return the pairs of WinoBias's files in `folder`, and how many were left out.

    Files are named as published, pro_stereotyped_type1.txt.dev and so on, line i of pro_… and of anti_… being a pair
    with the marks [ ] around the pronoun and whom it stands for. Left out are pairs that differ in more than pronouns,
    of which the published files have some. Raises InputError naming the file and line that is wrong.
    """
    pairs, left_out = [], 0
    for number, kind in KINDS.items():
        for split in SPLITS:
            paths = [folder / f"{side}_stereotyped_type{number}.txt.{split}" for side in ("pro", "anti")]
            if not any(path.exists() for path in paths):
                continue
            pro, anti = map(_sentences, paths)
            if len(pro) != len(anti):
                raise InputError(f"{paths[1]}: {len(anti)} lines, expected {len(pro)}, as in {paths[0].name}")
            for more, less in zip(pro, anti, strict=True):
                if more != less and _PRONOUN.sub("", more) == _PRONOUN.sub("", less):
                    pairs.append(StereotypePair(more, less, kind))
                else:
                    left_out += 1
    if not pairs:
        raise InputError(f"{folder}: no pairs, expected the files of WinoBias, such as pro_stereotyped_type1.txt.dev")
    return pairs, left_out


def _sentences(path: Path) -> list[str]:
    """Return the sentences of a file without number and marks."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected it beside its counterpart") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error})") from None
    found = []
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line.strip())
        if match is None or "[" not in line:
            raise InputError(f"{path}: line {number}: {line[:40]!r}, expected a number and a sentence with [marks]")
        found.append(re.sub(r"[\[\]]", "", match["sentence"]))
    return found
