"""docs/tasks.md names every recipe, with its command and what it learns, and no recipe that is not there."""

import re
from pathlib import Path

from pipeline.params import load_params

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/tasks.md").read_text(encoding="utf-8")
RECIPES = {f"recipes/{path.name}" for path in (ROOT / "recipes").glob("*.yaml")}

FIGURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "span_f1": "F1 of spans",
    "bits_per_character": "bits per character",
    "bleu": "BLEU",
    "rouge_l": "ROUGE-L",
}


def test_every_recipe_stands_in_the_table_and_among_the_commands() -> None:
    assert set(re.findall(r"(?m)^ {4}.venv/bin/stillhouse use (\S+)", PAGE)) == RECIPES
    assert {link.removeprefix("../") for link in re.findall(r"\]\((\.\./recipes/[^)]+)\)", PAGE)} == RECIPES


def test_rows_and_commands_say_what_the_recipes_do() -> None:
    for recipe in RECIPES:
        params = load_params(ROOT / recipe)
        (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and f"../{recipe})" in line]
        types = {task.type for task in params.tasks.values()}
        metrics = {task.gate.metric for task in params.tasks.values()}
        assert ("a label for a text" in row) == ("text_classification" in types), recipe
        assert ("labelled spans" in row) == ("token_classification" in types), recipe
        assert ("going on with a text" in row) == ("text_generation" in types), recipe
        assert ("a text in another language" in row) == ("translation" in types), recipe
        assert ("a shorter text" in row) == ("summarization" in types), recipe
        for metric, words in FIGURES.items():
            assert (words in row) == (metric in metrics), (recipe, metric)
        brings = any(dataset.source.kind == "file" for dataset in params.datasets.values())
        assert (f"use {recipe} --data F" in PAGE) == brings, recipe


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
