"""What follows from the outcomes of the checks: go on, set rows aside, or stop."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pipeline.files import InputError
from pipeline.params import ValidationParams
from pipeline.validation.checkpoint import Failure, Outcome

NAMED = 5


def rows_to_set_aside(outcomes: Sequence[Outcome], params: ValidationParams, rows: Path) -> dict[str, str]:
    """Return the id of every row to quarantine with its reason, the names of the checks it failed.

    Raises InputError, naming file, check, numbers and the first failing rows, where the policy is `fail` and any check
    failed, where a check of the dataset as a whole failed, or where more than `max_quarantined_share` of the rows fall.
    A check that only flags is what the policy `fail` stops at and `quarantine` does not.
    """
    failed = [outcome for outcome in outcomes if not outcome.success]
    fatal = [outcome for outcome in failed if outcome.scope == "dataset" or params.policy == "fail"]
    if fatal:
        others = ", ".join(outcome.check for outcome in fatal[1:])
        raise InputError(describe(fatal[0], rows) + (f"; also failed: {others}" if others else ""))
    of_rows = [outcome for outcome in failed if outcome.scope == "row"]
    checks: dict[str, list[str]] = defaultdict(list)
    for outcome in of_rows:
        for failure in outcome.failures:
            checks[failure.name["id"]].append(outcome.check)
    total = max(outcome.checked for outcome in outcomes if outcome.scope == "row")
    if len(checks) > params.max_quarantined_share * total:
        worst = max(of_rows, key=lambda outcome: len(outcome.failures))
        raise InputError(
            f"{rows}: {len(checks)} of {total} rows ({len(checks) / total:.2%}) would be set aside, expected at most "
            f"{params.max_quarantined_share:.2%} (max_quarantined_share); most of them: {describe(worst, rows)}"
        )
    return {identifier: ", ".join(names) for identifier, names in sorted(checks.items())}


def describe(outcome: Outcome, rows: Path) -> str:
    """Return a failed outcome as one line: file, check, what was expected, how many failed and which came first."""
    splits = {failure.name["split"] for failure in outcome.failures if "split" in failure.name}
    place = rows / f"{splits.pop()}.parquet" if len(splits) == 1 else rows
    first = ", ".join(_named(failure) for failure in outcome.failures[:NAMED])
    found = f"found {len(outcome.failures)} of {outcome.checked} otherwise: {first}" if first else "found none"
    return f"{place}: check {outcome.check}: expected {outcome.expected}, {found}"


def _named(failure: Failure) -> str:
    name = " ".join(failure.name.values())
    if failure.value is None or isinstance(failure.value, bool) or failure.value in failure.name.values():
        return name
    return f"{name} ({failure.value:.4g})" if isinstance(failure.value, float) else f"{name} ({failure.value})"
