"""The pages that stillhouse writes itself: what they show, on paper and on a phone, by keyboard, in light and dark."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Page, expect

from pipeline.evaluation import page, report
from pipeline.evaluation.dag import Stage
from pipeline.files import read_json, write_json
from pipeline.params import load_params
from pipeline.scoring.batch import score
from pipeline.scoring.scorer import Scorer
from tests.browser.chromium import NARROW
from tests.registered_students import make_champion, register_student, registry_in
from tests.serving.conftest import TASK
from tests.serving.server_process import served
from tests.tiny_students import save_label_student
from tests.trust.test_12_poisoned_data import flipped, splits, validate
from tests.unit.test_evaluation_report import write_reports

ROOT = Path(__file__).parents[2]
NAMES = ("report", "validation", "monitor", "try")
A4 = {"width": 717, "height": 1046}  # CSS pixels of a sheet between the margins that Chromium prints with
STAGES = [
    Stage("validate@rotten_tomatoes", [], "unchanged", 2),
    Stage("finetune@sentiment", ["validate@rotten_tomatoes"], "ran, 61 s", 1),
    Stage("register@sentiment", ["finetune@sentiment"], "ran", 0),
]

# the least contrast of any text with what lies behind it, as WCAG 2.1 counts it
CONTRAST = """() => {
  const parts = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => parts(color).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const solid = color => color !== 'transparent' && (parts(color)[3] ?? 1) > 0.99;
  const behind = node => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (solid(color)) return color;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? 'rgb(18, 18, 18)' : 'rgb(255, 255, 255)';
  };
  let least = [99, ''];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.matches('script, style')) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(node.closest('svg') ? style.fill : style.color), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least[0]) least = [ratio, walker.currentNode.data];
  }
  return least;
}"""
# what is under the keyboard's focus, and whether that can be seen
FOCUS = """() => {
  const node = document.activeElement, style = getComputedStyle(node);
  return [node.outerHTML, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0];
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, browser: object) -> Iterator[dict[str, str]]:
    """The address of each page: three files, and the one that the server of a tiny student answers with."""
    root = tmp_path_factory.mktemp("pages")
    shutil.copy(ROOT / "params.yaml", root)
    with registry_in(root) as mlflow:
        files = {"report": _report(root / "reports"), "validation": _validation(root)}
        files["monitor"] = _monitor(mlflow, root)
    with served(root) as server:
        server.wait_until_ready()
        yield {name: file.as_uri() for name, file in files.items()} | {"try": f"http://127.0.0.1:{server.port}/"}


def _report(reports: Path) -> Path:
    write_reports(reports, naive_bayes=0.85)
    record = read_json(reports / "sentiment/registered.json")
    write_json(reports / "sentiment/registered.json", record | {"lineage": {"student": "ab" * 32}})
    for name in ("finetune", "distill"):
        history = [{"step": step, "split": "dev", "loss": 1 / step, "accuracy": 0.8} for step in (1, 2, 3)]
        write_json(reports / f"sentiment/{name}.json", history)
    shutil.copytree(ROOT / "reports/validation", reports / "validation")
    params, summary = load_params(ROOT / "params.yaml"), report.summary(reports, ["sentiment"])
    (reports / "index.html").write_text(page.index_page(reports, params, summary, STAGES), encoding="utf-8")
    return reports / "index.html"


def _validation(root: Path) -> Path:
    rows = splits(counts=(600, 100, 200))
    rows["train"], _ = flipped(rows["train"], 0.1, 0)  # so that there are labels to look at
    validate(root / "rows", rows, max_quarantined_share=1.0, max_drift=1.0, max_label_noise=1.0)
    return root / "rows/page.html"


def _monitor(mlflow: ModuleType, root: Path) -> Path:
    save_label_student(root / "student")
    register_student(mlflow, TASK, root / "student")
    make_champion(mlflow, TASK)
    for number, texts in enumerate(["play madonna\nin new york\n", "in new york\nplay\nkeys\n"]):
        source = Path(f"texts{number}.csv")
        source.write_text(f"text\n{texts}", encoding="utf-8")
        score(Scorer(TASK, threads=1), source, Path(f"answered{number}.csv"))
    return root / f"reports/monitor/{TASK}.html"


def test_the_report_shows_everything_that_a_run_produced(pages: dict[str, str], open_page: Callable[..., Page]) -> None:
    shown = open_page(pages["report"])
    for words in (
        "naive Bayes beats the student: 85.0% against 84.0%.",
        "@champion. The gate: not worse than the champion by 1.0 points.",
        "Student better by",
        "Does it matter who a text speaks of?",
        "Where the student is wrong and surest of it",
        "ab" * 32,
        "letters failed by 1",
        "positive 50.4%, negative 49.6%",
    ):
        expect(shown.locator("main")).to_contain_text(words)
    captions = shown.locator("figcaption").all_inner_texts()
    for caption in (
        "Accuracy, with intervals",
        "Size, accuracy and speed",
        "Teacher, loss",
        "Confusion of the student",
    ):
        assert caption in captions
    picture = shown.locator("figure", has_text="From the data to the registered model")
    for words in ("validate@rotten_tomatoes", "unchanged", "finetune@sentiment", "ran, 61 s"):
        expect(picture.locator("svg").get_by_text(words, exact=True).first).to_be_visible()
    assert all(box["height"] > 100 for box in [svg.bounding_box() for svg in shown.locator("svg").all()] if box)


def test_the_validation_page_shows_checks_and_labels_to_look_at(
    pages: dict[str, str], open_page: Callable[..., Page]
) -> None:
    shown = open_page(pages["validation"])
    expect(shown.locator("h1")).to_have_text("Validation of rotten_tomatoes")
    expect(shown.get_by_text("✓ passed").first).to_be_visible()
    assert shown.locator("h2", has_text="Labels to look at").locator("~ div table tbody tr").count() > 5


def test_the_monitor_shows_every_run(pages: dict[str, str], open_page: Callable[..., Page]) -> None:
    shown = open_page(pages["monitor"])
    assert [row.locator("td").nth(1).inner_text() for row in shown.locator("tbody tr").all()] == [
        "texts1.csv",
        "texts0.csv",
    ]
    assert shown.locator("figure svg").count() >= 3


def test_a_text_is_tried_by_keyboard_alone(pages: dict[str, str], open_page: Callable[..., Page]) -> None:
    shown = open_page(pages["try"])
    shown.keyboard.press("Tab")
    shown.keyboard.press("Tab")
    shown.keyboard.type("play madonna, in new york")
    shown.keyboard.press("Tab")
    shown.keyboard.press("Enter")
    expect(shown.locator("#fields")).to_contain_text("label")
    expect(shown.locator("#text-read")).to_have_text("play madonna, in new york")
    assert shown.locator("#text-read mark").all_inner_texts() == ["play", "madonna", ",", "in", "new", "york"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wider_than_a_phone(name: str, pages: dict[str, str], open_page: Callable[..., Page]) -> None:
    shown = open_page(pages[name], viewport=NARROW)
    assert shown.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    widths = [box["width"] for box in [cell.bounding_box() for cell in shown.locator("td.text").all()] if box]
    assert all(width > 150 for width in widths), "a text that is squeezed into a column of single letters"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_every_word_stands_out(name: str, scheme: str, pages: dict[str, str], open_page: Callable[..., Page]) -> None:
    shown = open_page(pages[name], color_scheme=scheme)
    least, words = shown.evaluate(CONTRAST)
    assert least >= 4.5, words


@pytest.mark.parametrize("name", NAMES)
def test_the_keyboard_reaches_whatever_can_be_used(
    name: str, pages: dict[str, str], open_page: Callable[..., Page]
) -> None:
    shown = open_page(pages[name])
    wanted = shown.locator("a, textarea, button, .scroll").evaluate_all("nodes => nodes.map(node => node.outerHTML)")
    reached = []
    for _ in wanted:
        shown.keyboard.press("Tab")
        html, seen = shown.evaluate(FOCUS)
        assert seen, f"no sign that this has the focus: {html[:200]}"
        reached.append(html)
    assert reached == wanted


@pytest.mark.parametrize("name", NAMES[:3])
def test_paper_is_white_and_wide_enough(name: str, pages: dict[str, str], open_page: Callable[..., Page]) -> None:
    shown = open_page(pages[name], viewport=A4, color_scheme="dark")
    shown.emulate_media(media="print", color_scheme="dark")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.evaluate(CONTRAST)[0] >= 4.5
    assert shown.evaluate("document.documentElement.scrollWidth") <= A4["width"], "cut off at the right"
