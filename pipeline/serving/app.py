"""The HTTP side of a served champion: what may be asked, what is answered, and the pages for people."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Annotated, Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.files import InputError
from pipeline.registry.champion import Champion
from pipeline.serving import explanation, pages
from pipeline.serving.batching import Batcher, UnavailableError
from pipeline.serving.limits import MAX_CHARACTERS, MAX_ROWS
from pipeline.serving.metrics import Metrics
from pipeline.serving.middleware import Counted, Limited
from pipeline.serving.refusals import add_refusals
from pipeline.serving.reloading import Reloader


def _with_words(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank, expected words")
    return text


Text = Annotated[str, Field(max_length=MAX_CHARACTERS), AfterValidator(_with_words)]


class Row(BaseModel):
    """A text, and the one that belongs to it where the task is one for pairs: a question, a second sentence."""

    model_config = ConfigDict(strict=True, extra="forbid")
    text: Text
    pair: Text | None = None


class Rows(BaseModel):
    """What /predict takes."""

    model_config = ConfigDict(
        strict=True, extra="forbid", json_schema_extra={"example": {"rows": [{"text": "one two three"}]}}
    )
    rows: Annotated[list[Row], Field(min_length=1, max_length=MAX_ROWS)]


class Answers(BaseModel):
    """An answer for each row, in their order, as `stillhouse predict` prints them, and the version that gave them."""

    model: str
    version: int
    answers: list[dict[str, Any]]


class Word(BaseModel):
    """A word's place in the text, in characters, and by how much it raised what the model is sure of."""

    start: int
    end: int
    weight: float


class Explanation(BaseModel):
    """An answer and the words behind it; none for tasks whose answers have no single probability or similarity."""

    model: str
    version: int
    answer: dict[str, Any]
    words: list[Word]


class Health(BaseModel):
    """Alive, or ready to answer and with which version."""

    status: str
    version: int | None = None


class Refusal(BaseModel):
    """Why there is no answer, in a sentence."""

    error: str


def create_app(mlflow: ModuleType, task: str) -> FastAPI:
    """Return the application that answers for the champion of `task`; while it runs it loads and watches that one.

    mlflow: what `tracking.connect` returned.
    """
    metrics = Metrics()
    reloader = Reloader(mlflow, task, metrics)

    def champion() -> Champion:
        if reloader.current is None:
            raise UnavailableError(f"no model yet: {reloader.trouble}")
        return reloader.current

    batcher = Batcher(champion, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        work = [asyncio.create_task(loop) for loop in (reloader.watch(), batcher.run())]
        yield
        for loop in work:
            loop.cancel()
        await asyncio.gather(*work, return_exceptions=True)

    # its own page of the API loads scripts from the network
    app = FastAPI(title=f"{task}@champion", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Limited)
    app.add_middleware(Counted, metrics=metrics)
    add_refusals(app)
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": Refusal, "description": why}
        for status, why in {
            400: "not JSON",
            413: "too large",
            415: "not application/json",
            422: "JSON, but not what is expected",
            503: "no model yet, or too many requests wait",
        }.items()
    }

    @app.post("/predict", responses=refusals)
    async def predict(asked: Rows) -> Answers:
        """Answer for texts, or pairs of texts."""
        rows = [_row(row, champion().inputs, f"rows.{number}") for number, row in enumerate(asked.rows)]
        answered = await batcher.ask(rows)
        return Answers(model=task, version=answered.version, answers=answered.answers)

    @app.post("/explain", responses=refusals)
    async def explain(asked: Row) -> Explanation:
        """Answer for one text and say which of its words mattered: how much surer of its answer the model is with each
        than with that one left out. Of a long text the first words are tried, as many as a request may have rows.
        """
        row = _row(asked, champion().inputs, "the body")
        answered = await batcher.ask([row])
        words: list[Word] = []
        if explanation.weight(answered.answers[0], answered.answers[0]) is not None:
            borders, rows = explanation.rows_without(row, MAX_ROWS - 1)
            answered = await batcher.ask([row, *rows])
            weights = [explanation.weight(answered.answers[0], without) for without in answered.answers[1:]]
            words = [
                Word(start=start, end=end, weight=weight or 0.0)
                for (start, end), weight in zip(borders, weights, strict=True)
            ]
        return Explanation(model=task, version=answered.version, answer=answered.answers[0], words=words)

    @app.get("/health")
    async def health() -> Health:
        """Tell that the server is alive."""
        return Health(status="alive")

    @app.get("/ready", responses={503: refusals[503]})
    async def ready() -> Health:
        """Tell whether a model is loaded, and which version."""
        return Health(status="ready", version=champion().version)

    @app.get("/metrics", response_class=Response)
    async def show_metrics() -> Response:
        """Return the counters for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def front() -> HTMLResponse:
        return pages.front(task, champion())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return pages.docs(app.openapi())

    return app


def _row(row: Row, inputs: tuple[str, ...], place: str) -> dict[str, str]:
    """Return a row for the model; raise InputError where it has other columns than the model reads."""
    values = row.model_dump(exclude_none=True)
    if sorted(values) != sorted(inputs):
        raise InputError(f"{place}: expected {' and '.join(inputs)}, got {' and '.join(values)}")
    return values
