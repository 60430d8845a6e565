"""A real Chromium for the tests of pages: each page fails its test if it complains or asks beyond this machine."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import Noticed, chromium, new_page, program

REQUIRED = "BROWSER_TESTS"  # `required` makes a missing Chromium an error, as .ci/run wants it
# errors of MLflow's and Prefect's own pages, by which nothing is lost: a server without accounts has no user, an icon,
# a panel that was measured once more than drawn
THEIRS = ("/ajax-api/2.0/mlflow/users/current", "/ico/undefined.svg", "ResizeObserver loop completed")
expect.set_options(timeout=60_000)  # milliseconds, for a busy machine


@pytest.fixture(scope="module")  # Playwright's loop must have ended when the next file's tests begin their own
def browser() -> Iterator[Browser]:
    if program() is None:
        missing = "no Chromium is installed (Debian and Ubuntu: apt-get install chromium)"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    with chromium() as running:
        yield running


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return a function that opens an address in a page of its own; the options are those of Playwright's contexts."""
    noticed: list[Noticed] = []
    with ExitStack() as pages:

        def visit(address: str, **options: Any) -> Page:
            page, seen = pages.enter_context(new_page(browser, **options))
            noticed.append(seen)
            page.goto(address)
            return page

        yield visit
        assert [address for seen in noticed for address in seen.outside] == []
        assert [error for seen in noticed for error in seen.errors if not any(part in error for part in THEIRS)] == []
