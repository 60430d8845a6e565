"""CI ends in time on a slow machine: slow tests that would begin too late are left out, others are not."""

import time

import pytest

from tests.conftest import SLOW_TESTS_UNTIL, pytest_runtest_setup

EARLIER, LATER = -60, 60


@pytest.mark.parametrize(("seconds", "slow"), [(EARLIER, False), (LATER, True), (None, True)])
def test_what_is_not_slow_or_not_late_runs(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, seconds: int | None, slow: bool
) -> None:
    if slow:
        request.node.add_marker("slow")
    if seconds is None:
        monkeypatch.delenv(SLOW_TESTS_UNTIL, raising=False)
    else:
        monkeypatch.setenv(SLOW_TESTS_UNTIL, str(time.time() + seconds))
    pytest_runtest_setup(request.node)


def test_what_is_slow_and_late_is_left_out(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    request.node.add_marker("slow")
    monkeypatch.setenv(SLOW_TESTS_UNTIL, str(time.time() + EARLIER))
    with pytest.raises(pytest.skip.Exception, match="SLOW_TESTS_UNTIL is over"):
        pytest_runtest_setup(request.node)
