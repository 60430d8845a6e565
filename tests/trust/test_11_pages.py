"""Point 11: what stands in the data is shown as text, in every page and in the model card: it makes no element."""

from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt

from pipeline.evaluation import page, report
from pipeline.evaluation.table import as_column
from pipeline.files import read_json, write_json
from pipeline.params import load_params
from pipeline.registry.model_card import model_card
from tests.trust.test_12_poisoned_data import flipped, splits, validate
from tests.unit.test_evaluation_report import write_reports

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "pipeline/validation/page.html"
HOSTILE = (
    """'"><script>alert(1)</script><img src=x onerror="alert(2)"> {{ 7 * 7 }} ]]> --> &lt;b&gt; `x` [y](javascript:z)"""
)


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_shown_as_text(hostile: str, harmless: str) -> None:
    assert Elements(hostile).found == Elements(harmless).found
    assert "script" not in {tag for tag, *_ in Elements(hostile).found}
    assert HOSTILE in Elements(hostile).text


def test_the_validation_page_shows_reviews_and_labels_as_text(tmp_path: Path) -> None:
    made = splits()
    made["train"], _ = flipped(made["train"], 0.1, 0)  # so that rows are listed as suspicious
    for rows in made.values():
        for row in rows:
            row["text"] = f"{row['text']} {HOSTILE}" if row["id"] < "1" else row["text"]
            row["label"], row["source"] = row["label"].replace("positive", HOSTILE), HOSTILE
    labels = {"0": "negative", "1": HOSTILE}
    validate(tmp_path / "rows", made, labels, max_quarantined_share=1.0, max_drift=1.0, max_label_noise=1.0)
    shown = Elements((tmp_path / "rows/page.html").read_text(encoding="utf-8"))
    assert set(shown.found) <= set(Elements(TEMPLATE.read_text(encoding="utf-8")).found)
    assert "script" not in {tag for tag, *_ in shown.found}
    assert shown.text.count(HOSTILE) > 30  # in rows set aside, among labels and suspects


def with_signs(reports: Path, sign: str) -> Path:
    """Put `sign` in place of every text, label, source and decision that a run may have taken from its data."""
    write_reports(reports, naive_bayes=0.78)
    folder = reports / "sentiment"
    evaluation = read_json(folder / "evaluation.json")
    evaluation["labels"] = evaluation["classes"] = ["negative", sign]
    evaluation["slices"][0] |= {"slice": sign, "value": sign}
    evaluation["counterfactuals"]["gender"]["rows"]["student"]["leaning"]["label"] = sign
    write_json(folder / "evaluation.json", evaluation)
    record = read_json(folder / "registered.json")
    record["registered"] |= {"decision": sign, "name": sign, "aliases": [sign]}
    record["timings"]["machine"] = sign
    write_json(folder / "registered.json", record)
    rows = pq.read_table(folder / "predictions.parquet").to_pydict()
    rows[f"student_score_{sign}"] = rows.pop("student_score_positive")
    pq.write_table(pa.table(rows | {"text": [sign] * 3}), folder / "predictions.parquet")
    return reports


def test_the_page_of_a_run_shows_what_it_quotes_as_text(tmp_path: Path) -> None:
    params, pages = load_params(ROOT / "params.yaml"), []
    for name, sign in (("hostile", HOSTILE), ("harmless", "harmless")):
        reports = with_signs(tmp_path / name, sign)
        pages.append(page.index_page(reports, params, report.summary(reports, ["sentiment"])))
    assert_shown_as_text(*pages)


def test_the_page_of_a_run_shows_spans_as_text(tmp_path: Path) -> None:
    params, pages = load_params(ROOT / "params.yaml"), []
    for name, sign in (("hostile", HOSTILE), ("harmless", "harmless")):
        write_reports(tmp_path / name, naive_bayes=0.78, figures=("span_f1",))
        span = [(0, len(sign), sign)]
        answers = {"label": [span, [], span], "student": [[], span, span], "teacher": [span, span, []]}
        columns = {"id": ["a", "b", "c"], "text": [sign] * 3} | {key: as_column(rows) for key, rows in answers.items()}
        pq.write_table(pa.table(columns), tmp_path / name / "sentiment" / "predictions.parquet")
        pages.append(page.index_page(tmp_path / name, params, report.summary(tmp_path / name, ["sentiment"])))
    assert_shown_as_text(*pages)


@pytest.mark.parametrize("raw_html", [True, False])
def test_the_model_card_shows_labels_as_text(tmp_path: Path, raw_html: bool) -> None:
    """Rendered with and without HTML let through: MLflow's own page cleans what it renders, others may not."""
    cards = []
    for name, sign in (("hostile", HOSTILE), ("harmless", "harmless")):
        evaluation = read_json(with_signs(tmp_path / name, sign) / "sentiment/evaluation.json")
        card = model_card("sentiment", evaluation, dataset="rows", hashes={"rows": "0" * 64}, code="abc")
        body = card.split("---\n", 2)[2]
        cards.append(MarkdownIt("commonmark", {"html": raw_html}).enable("table").render(body))
    assert_shown_as_text(*cards)
