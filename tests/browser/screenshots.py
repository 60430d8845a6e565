"""The pictures of the README, from real pages of the project in the current folder: `make screenshots`."""

import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from pipeline.files import InputError
from tests.browser.chromium import chromium, new_page, program
from tests.browser.project_servers import project_servers
from tests.serving.server_process import served

FOLDER = Path("docs/pictures")
SCREEN = {"width": 1120, "height": 840}
COLOURS = 256  # of a picture's palette: a third of the bytes
TEXT = "Warm and funny, with two wonderful leads, but far too long."


def main() -> int:
    """Write the pictures; return 2 where there is nothing to make them of."""
    report = Path("reports/index.html")
    if program() is None or not report.is_file():
        missing = str(report) if program() else "chromium"
        print(f"screenshots: {missing}: not here, expected a finished `make run` and a Chromium", file=sys.stderr)
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    with chromium() as browser, new_page(browser, viewport=SCREEN) as (page, _):
        page.goto(report.resolve().as_uri())
        page.locator("table").first.evaluate("table => table.scrollIntoView()")
        save(page, "report")
        with served(Path.cwd()) as server:
            server.wait_until_ready()
            try_a_text(page, f"http://127.0.0.1:{server.port}/")
            save(page, "try")
        with project_servers(Path.cwd()) as addresses:
            open_champion(page, addresses["mlflow"])
            page.get_by_role("button", name="Close").click()  # the panel of MLflow's assistant
            save(page, "mlflow")
    return 0


def try_a_text(page: Page, address: str) -> None:
    """Ask the champion on its page about a text."""
    page.goto(address)
    page.locator("#text").fill(TEXT)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#text-read")).to_have_text(TEXT)


def open_champion(page: Page, address: str) -> None:
    """Go from MLflow's start page to the champion's in three clicks, and one on a notice that it shows once."""
    page.goto(address)
    page.get_by_text("Model training", exact=True).first.click()
    page.get_by_role("link", name="Model registry", exact=True).click()
    page.get_by_text("Try it now").click()  # of a notice that MLflow shows once in a browser
    page.get_by_role("link", name="champion").first.click()
    expect(page.get_by_text("How good it is")).to_be_visible()


def save(page: Page, name: str) -> None:
    """Write what is on the screen as a small PNG."""
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"screenshots: {error}")
