"""Tables that go by a task's type, a family or an objective know the same ones."""

from typing import Any, Literal, get_args

import pytest
from pydantic import BaseModel

from pipeline.architectures import ARCHITECTURES, MODEL_TYPES
from pipeline.evaluation.contenders import BASELINES
from pipeline.evaluation.figures import FIGURES
from pipeline.evaluation.table import ANSWERS
from pipeline.objectives import OBJECTIVES
from pipeline.params import families
from pipeline.params.pretraining import PretrainParams
from pipeline.params.task_types import TASK_TYPES, TYPE_OF_METRIC
from pipeline.params.tasks import GateParams, TaskParams
from pipeline.params.training import ArchitectureParams
from pipeline.registry.model_card import NAMES
from pipeline.registry.served_model import HEADS as SERVED
from pipeline.stages.tokenize import ENCODING
from pipeline.tasks import TASKS

OF_CHANGES = {"flip_rate", "score_gap"}  # figures of two answers to a row, whatever its task
PAIRS = [(family, head) for family, objectives in families.OBJECTIVES.items() for head in objectives]
PAIRS += [(family, name) for name, kind in TASK_TYPES.items() for family in kind.families]


TABLES: dict[str, dict[str, Any]] = {"TASKS": TASKS, "ENCODING": ENCODING, "ANSWERS": ANSWERS, "BASELINES": BASELINES}


@pytest.mark.parametrize("table", TABLES)
def test_each_table_knows_all_types_of_task(table: str) -> None:
    assert set(TABLES[table]) == set(TASK_TYPES) == set(_values_of("type", TaskParams))


def test_each_figure_belongs_to_one_type_and_has_a_name_in_the_model_card() -> None:
    assert sum(len(kind.metrics) for kind in TASK_TYPES.values()) == len(TYPE_OF_METRIC)
    assert set(TYPE_OF_METRIC) == set(FIGURES) - OF_CHANGES == set(NAMES) == set(_values_of("metric", GateParams))


def test_each_table_knows_all_families_and_objectives() -> None:
    assert set(ARCHITECTURES) == set(MODEL_TYPES.values()) == set(families.OBJECTIVES) == set(families.TOKENIZERS)
    assert set(ARCHITECTURES) == set(_values_of("family", ArchitectureParams))
    assert {name for names in families.OBJECTIVES.values() for name in names} == set(OBJECTIVES)
    assert set(OBJECTIVES) == set(_values_of("objective", PretrainParams))


@pytest.mark.parametrize(("family", "head"), PAIRS)
def test_a_family_has_a_head_for_whatever_params_allow_it(family: str, head: str) -> None:
    assert head in ARCHITECTURES[family]().HEADS


@pytest.mark.parametrize(("family", "head"), [pair for pair in PAIRS if pair[1] in TASK_TYPES])
def test_the_served_model_reads_every_head(family: str, head: str) -> None:
    architecture = ARCHITECTURES[family]()
    for kind in (architecture.HEADS[head], *getattr(architecture, "LOADED", {}).values()):
        assert any(kind.__name__.endswith(name) for name in SERVED), kind.__name__


def _values_of(field: str, section: type[BaseModel]) -> tuple[Any, ...]:
    kind = section.model_fields[field].annotation
    assert kind is not None and getattr(kind, "__origin__", None) is Literal
    return get_args(kind)
