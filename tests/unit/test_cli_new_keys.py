"""What a later release brings to a params.yaml: keys at their places, the user's own text otherwise untouched."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.new_keys import FREE, take_over
from pipeline.params import Params, check_params, read_yaml

ROOT = Path(__file__).parents[2]

BEFORE = """
# the release's words
runtime:
  seed: 17    # any
datasets:
  reviews:
    path: reviews.csv
    source: {kind: package, package: p}
    columns: {text: text, label: label, source: s}
    labels: {"0": bad, "1": good}
tasks:
  sentiment:
    type: text_classification
    gate: {rule: not_worse, margin: 0.01}
    steps: 3
"""

AFTER = """
# the release's words
runtime:
  seed: 17    # any
  threads: 2  # part of the result
datasets:
  reviews:
    path: reviews.csv
    format: 2
    source: {kind: package, package: p, digest: x}
    columns: {text: text, label: label, source: s, group: g}
    labels: {"0": bad, "1": good, "2": so-so}
serving:
  # how long it waits
  wait: {seconds: 2}
  deep:
    deeper: [a, b]
tasks:
  sentiment:
    type: text_classification
    gate: {first: null, rule: not_worse, limit: {a: 1}}
    schedule:
      name: cosine
"""

MINE = """\
runtime:
  seed: 4     # my birthday

datasets:
  shop:
    # four years of it
    path: data/raw/shop.csv
    source: {kind: file, format: csv}
    columns: {text: body, label: stars}
    labels: {"a": a, "b": b}

tasks:
  shop:
    type: text_classification   # one of three
    gate: {rule: not_worse, margin: 0.05}

    steps: 30
"""

EXPECTED = """\
runtime:
  seed: 4     # my birthday
  threads: 2  # part of the result

datasets:
  shop:
    # four years of it
    path: data/raw/shop.csv
    format: 2
    source: {kind: file, format: csv}
    columns: {text: body, label: stars}
    labels: {"a": a, "b": b}

serving:
  # how long it waits
  wait: {seconds: 2}
  deep:
    deeper: [a, b]

tasks:
  shop:
    type: text_classification   # one of three
    gate: {first: null, rule: not_worse, limit: {a: 1}}
    schedule:
      name: cosine

"""


def test_keys_come_and_go_and_all_else_stays() -> None:
    optional = AFTER.replace(", group: g", "")  # what a recipe may leave out is no new key
    found = take_over(MINE, [BEFORE], [AFTER, optional])
    assert found.text == EXPECTED
    assert found.added == {
        "runtime.threads": 2,
        "serving": {"wait": {"seconds": 2}, "deep": {"deeper": ["a", "b"]}},
        "datasets.shop.format": 2,
        "tasks.shop.gate.first": None,
        "tasks.shop.gate.limit": {"a": 1},
        "tasks.shop.schedule": {"name": "cosine"},
    }
    assert found.removed == {"tasks.shop.gate.margin": 0.05, "tasks.shop.steps": 30}


def test_nothing_changes_twice_or_without_a_reason() -> None:
    once = take_over(MINE, [BEFORE], [AFTER, AFTER.replace(", group: g", "")])
    again = take_over(once.text, [BEFORE], [AFTER, AFTER.replace(", group: g", "")])
    assert (again.text, again.added, again.removed) == (once.text, {}, {})
    assert take_over(MINE, [BEFORE], [BEFORE]).text == MINE


@pytest.mark.parametrize(
    ("mine", "before", "after", "expected"),
    [
        ("a: {x: 1}\n", "a: {x: 1}", "a: {w: 0, x: 1}", "a: {w: 0, x: 1}\n"),
        ("a: {}\n", "a: {}", "a: {w: 0, x: 1}", "a: {w: 0, x: 1, }\n"),
        ("a: {x: 1, y: 2}\n", "a: {x: 1, y: 2}", "a: {z: 3}", "a: {z: 3, }\n"),
        ("a: {x: 1, y: 2}\n", "a: {x: 1, y: 2}", "a: {y: 2}", "a: {y: 2}\n"),
        ("a: {x: 1, y: 2}\n", "a: {x: 1, y: 2}", "a: {x: 1}", "a: {x: 1}\n"),
        ("a:\n    x: 1", "a: {x: 1}", "a:\n  x: 1\n  y:\n    z: 2", "a:\n    x: 1\n    y:\n      z: 2\n"),
        ("a:\n    x: 1", "a: {x: 1}", "a: {x: 1, y: {z: 2}}", "a:\n    x: 1\n    y: {z: 2}\n"),
        ("a:\n  x: 1\n", "a: {x: 1}", "a: {w: null, x: 1}", "a:\n  w: null\n  x: 1\n"),
        ("a:\n  x:\n  # y\n  y: 1\n", "a: {x: 1, y: 1}", "a: {x: 1, w: 0, y: 1}", "a:\n  x:\n  w: 0\n  # y\n  y: 1\n"),
        ("a: &b\n  x: 1\nc: *b\n", "a: {x: 1}", "a: {x: 1}\nc: {x: 1}\nd: 1", "a: &b\n  x: 1\nc: *b\n\nd: 1\n"),
        ("a: &b {x: 1}\nc:\n  <<: *b\n  y: 2\n", "a: {x: 1}\nc: {y: 2}", "a: {x: 1}\nc: {y: 2, x: 3}",
         "a: &b {x: 1}\nc:\n  <<: *b\n  y: 2\n"),
    ],
)  # fmt: skip
def test_ways_of_writing(mine: str, before: str, after: str, expected: str) -> None:
    assert take_over(mine, [before], [after]).text == expected


def test_a_task_of_another_type_takes_the_values_of_its_type() -> None:
    before = "tasks: {one: {type: spans}, two: {type: texts}}"
    after = "tasks: {one: {type: spans, metric: f1}, two: {type: texts, metric: accuracy}}"
    mine = "tasks: {mine: {type: texts}}\n"
    assert take_over(mine, [before], [after]).added == {"tasks.mine.metric": "accuracy"}
    mine = "tasks: {one: {type: spans}}\n"
    assert take_over(mine, [before], [after]).added == {"tasks.one.metric": "f1"}


def test_recipes_get_back_the_keys_that_it_lost() -> None:
    """Two keys leave some files of this release; taking it over again brings them back, and the files check."""
    files = [ROOT / name for name in ("params.yaml", "recipes/two-tasks.yaml", "recipes/multi30k.yaml")]
    after = [path.read_text(encoding="utf-8") for path in files]
    lost = ("mitigation:", "max_flip_rate:")
    before = ["".join(line for line in text.splitlines(True) if not line.strip().startswith(lost)) for text in after]
    for path, old in zip(files, before, strict=True):
        found = take_over(old, before, after)
        tasks = read_yaml(path)["tasks"]
        assert set(found.added) == {
            f"tasks.{task}.{key}" for task in tasks for key in ("mitigation", "gate.max_flip_rate")
        }
        Path(path.name).write_text(found.text, encoding="utf-8")
        check_params(read_yaml(Path(path.name)), path)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_mappings_of_the_users_own_keys_are_those_of_the_schema() -> None:
    def free(schema: Any, name: str) -> set[str]:
        if isinstance(schema, list):
            return {found for item in schema for found in free(item, name)}
        if not isinstance(schema, dict):
            return set()
        own = {name} if isinstance(schema.get("additionalProperties"), dict) else set()
        return own.union(*(free(value, name if key in ("anyOf", "items") else key) for key, value in schema.items()))

    assert free(Params.model_json_schema(), "") - {"datasets", "tasks"} == set(FREE)
