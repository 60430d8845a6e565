"""The suites of `suites/`, run by Great Expectations: each as a ValidationDefinition in a Checkpoint, in memory."""

import functools
import gc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from pipeline.files import read_json

if TYPE_CHECKING:
    import pandas as pd

SUITES = Path(__file__).parent / "suites"


@dataclass(frozen=True)
class Failure:
    """One record that a check found wanting: what names it (split and id, label, aspect) and the value it had."""

    name: dict[str, str]
    value: Any


@dataclass(frozen=True)
class Outcome:
    """What one expectation found. `scope` says what fails: a row, the whole dataset, or nothing but a flag rises."""

    check: str
    scope: Literal["row", "dataset", "flag"]
    expectation: str
    expected: str
    checked: int
    failures: tuple[Failure, ...]
    success: bool


def run_suite(suite: str, table: "pd.DataFrame", parameters: Mapping[str, Any], named_by: list[str]) -> list[Outcome]:
    """Judge `table` by suites/`suite`.json and return one outcome for each expectation, in the order of the file.

    `parameters` fill the suite's `$PARAMETER`s and the braces of each `check` and `expected`; the columns `named_by`
    name the records that fail. Raises RuntimeError when an expectation could not be computed.
    """
    gx = _great_expectations()
    content = read_json(SUITES / f"{suite}.json")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("measures").add_dataframe_asset(suite)
    definition = gx.ValidationDefinition(
        name=suite,
        data=asset.add_batch_definition_whole_dataframe("all"),
        suite=context.suites.add(gx.ExpectationSuite(**content)),
    )
    checkpoint = gx.Checkpoint(
        name=suite,
        validation_definitions=[context.validation_definitions.add(definition)],
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": named_by},
    )
    result = context.checkpoints.add(checkpoint).run(
        batch_parameters={"dataframe": table}, expectation_parameters=dict(parameters)
    )
    (validation,) = result.run_results.values()
    order = [expectation["meta"]["check"].format(**parameters) for expectation in content["expectations"]]
    outcomes = [_outcome(found, parameters, named_by) for found in validation.results]
    return sorted(outcomes, key=lambda outcome: order.index(outcome.check))


def merged(parts: Sequence[Sequence[Outcome]]) -> list[Outcome]:
    """Return the outcomes of a whole table from those of its parts, none of them empty where there are several."""
    return [
        replace(
            outcomes[0],
            checked=sum(outcome.checked for outcome in outcomes),
            failures=tuple(failure for outcome in outcomes for failure in outcome.failures),
            success=all(outcome.success for outcome in outcomes),
        )
        for outcomes in zip(*parts, strict=True)
    ]


@functools.cache
def _great_expectations() -> ModuleType:
    # read at import: without it Great Expectations reports its use over the network
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    gc.disable()  # a fifth of the import goes into collecting garbage, of which it makes none
    try:
        import great_expectations
    finally:
        gc.enable()
    gc.freeze()  # what it has imported stays: every later collection would look through a million objects of it
    return great_expectations


def _outcome(found: Any, parameters: Mapping[str, Any], named_by: list[str]) -> Outcome:
    meta, configuration, result = found.expectation_config.meta, found.expectation_config, found.result
    if not result:
        raise RuntimeError(f"check {meta['check'].format(**parameters)} could not be computed: {found.exception_info}")
    failures = tuple(
        Failure({key: record[key] for key in named_by}, _whole(record[configuration.kwargs["column"]]))
        for record in result.get("unexpected_index_list") or ()
    )
    return Outcome(
        check=meta["check"].format(**parameters),
        scope=meta["scope"],
        expectation=configuration.type,
        expected=meta["expected"].format(**parameters),
        checked=result.get("element_count", result.get("observed_value")),
        failures=failures,
        success=bool(found.success),
    )


def _whole(value: Any) -> Any:
    """Undo pandas, which makes whole numbers beside nulls floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
