"""A headless Chromium that reaches this machine alone, and what its pages asked for and complained of."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
HERE = ("127.0.0.1", "localhost")
# Chromium's own errands too: whatever is not this machine has no address
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
NARROW = {"width": 390, "height": 844}  # a phone's screen, in CSS pixels


def program() -> str | None:
    """Return the path of the Chromium that is installed, None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start the Chromium that is installed; Playwright's own browser is not downloaded."""
    sandbox = os.getuid() != 0  # Chromium's does not work for root
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program(), chromium_sandbox=sandbox, args=[OFFLINE])


@dataclass
class Noticed:
    """What a page did that nobody sees: its errors, and the addresses beyond this machine that it asked for."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        """Keep what the page wrote to the console as an error."""
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def route(self, route: Route) -> None:
        """Let a request through to this machine, and none beyond it."""
        address = urlsplit(route.request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname not in HERE:
            self.outside.append(route.request.url)
            route.abort()
        else:
            route.continue_()


@contextlib.contextmanager
def new_page(browser: Browser, **options: Any) -> Iterator[tuple[Page, Noticed]]:
    """Open an empty page of its own, with Playwright's `options` of a context, and take notice of what it does."""
    noticed = Noticed()
    with browser.new_context(service_workers="block", **options) as context:
        context.set_default_timeout(60_000)  # milliseconds, for a busy machine
        context.route("**/*", noticed.route)
        page = context.new_page()
        page.on("console", noticed.console)
        page.on("pageerror", lambda error: noticed.errors.append(str(error)))
        yield page, noticed
