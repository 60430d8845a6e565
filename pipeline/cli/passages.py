"""`stillhouse predict --pair QUESTION --passages FILE`: the passages that fit a question best are found and read."""

from pathlib import Path
from typing import Any

from pipeline.evaluation.retrieval import best_passages
from pipeline.files import InputError
from pipeline.registry import champion

READ = 5  # passages, the best by their words


def answer_from_passages(task: str, question: str, path: Path) -> dict[str, Any]:
    """Return what the champion of `task` finds likeliest in the best passages of a file, one passage a line.

    It names the `passage`, the line's number. Raises InputError where the file is missing, no UTF-8 or has no passage.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected one passage a line") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error}), expected one passage a line") from None
    passages = {number: line for number, line in enumerate(lines, start=1) if line.strip()}
    if not passages:
        raise InputError(f"{path}: no passages, expected one a line")
    numbers = [[*passages][row] for row in best_passages([*passages.values()], [question], READ)[0]]
    answers = champion.predict(task, [{"text": passages[number], "pair": question} for number in numbers])
    if "answer" not in answers[0]:
        raise InputError(f"--passages: {task} answers with {', '.join([*answers[0]][2:])}, expected question answering")
    found = max(range(len(answers)), key=lambda place: float(answers[place]["score"]))
    return answers[found] | {"passage": numbers[found]}
