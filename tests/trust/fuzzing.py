"""Hypothesis for the tests of point 11: how often a surface is tried, and what every attempt must keep."""

import json
import resource
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

from pipeline.files import InputError

SECONDS = 20  # no single input may take longer, on a busy machine either
MEGABYTES = 400  # nor may all of them together raise the memory of the process by more

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("../x") | st.just("/x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def fuzz(strategy: st.SearchStrategy[Any], attempt: Callable[[Any], None], examples: int) -> None:
    """Try `attempt` on `examples` inputs, the same ones at every run."""
    tried = 0

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def tries(value: Any) -> None:
        nonlocal tried
        tried += 1
        started = time.monotonic()
        attempt(value)
        assert time.monotonic() - started < SECONDS

    before = peak()
    with warnings.catch_warnings():
        # threads of the session's Prefect server use `random` too, which Hypothesis takes for the strategy's doing
        warnings.simplefilter("ignore", HypothesisWarning)
        tries()
    assert tried >= examples
    assert peak() - before < MEGABYTES


def peak() -> float:
    """Return the most memory that this process has held so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@st.composite
def mutated(draw: st.DrawFn, originals: Sequence[bytes], pieces: Sequence[bytes]) -> bytes:
    """A valid file with up to four places cut out, overwritten or filled with what its format gives a meaning to."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 4))):
        at, cut = draw(st.integers(0, len(data))), draw(st.sampled_from((0, 0, 1, 4, 60)))
        put = draw(st.sampled_from(pieces) | st.binary(max_size=6))
        data = data[:at] + put + data[at + cut :]
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 4)) == 0 else data


@st.composite
def with_another_value(draw: st.DrawFn, data: bytes) -> bytes:
    """A JSON file in which one value, at any depth, is another one or missing."""
    value = json.loads(data)
    holder = value
    while True:
        keys = list(holder)[:20] if isinstance(holder, dict) else range(min(len(holder), 20))
        key = draw(st.sampled_from(keys))
        inner = holder[key]
        if not (isinstance(inner, dict | list) and inner and draw(st.booleans())):
            break
        holder = inner
    if draw(st.integers(0, 3)) == 0:
        del holder[key]
    else:
        holder[key] = draw(VALUES | st.sampled_from(["[CLS]", "\ud800", 10**30, {"type": "x"}]))
    return json.dumps(value).encode()


def one_line(error: InputError) -> str:
    """Return the line of an error that is fit for a terminal."""
    line = str(error)
    assert line.isprintable() and 10 < len(line) < 1100
    return line
