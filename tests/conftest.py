"""What tests in several folders share."""

import os
import time
from collections.abc import Iterator

import pytest

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as stages have it, before torch is imported
os.environ.setdefault("DVC_NO_ANALYTICS", "true")  # made projects have no .dvc/config of ours that says so

SLOW_TESTS_UNTIL = "SLOW_TESTS_UNTIL"  # seconds since 1970: no slow test begins after it, as .ci/run wants it


@pytest.hookimpl(tryfirst=True)  # before a fixture is made
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out a slow test that would begin too late, and say so."""
    until = os.environ.get(SLOW_TESTS_UNTIL)
    if until and item.get_closest_marker("slow") and time.time() > float(until):
        pytest.skip(f"{SLOW_TESTS_UNTIL} is over")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one temporary Prefect server for all tests: it takes seconds to start."""
    import flows  # noqa: F401 sets the environment that Prefect reads when it is imported

    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield str(PREFECT_API_URL.value())
