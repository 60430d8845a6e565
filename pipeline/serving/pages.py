"""The pages for people: one to try a text on, one that lists what can be asked. Neither loads anything from afar."""

from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

from pipeline.registry.champion import Champion
from pipeline.serving.limits import MAX_CHARACTERS
from pipeline.templates import templates

_TEMPLATES = templates(Path(__file__).parent)
# a browser that obeys this asks this server and nobody else, whatever a page says
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def front(task: str, champion: Champion) -> HTMLResponse:
    """Return the page on which to try a text and see which words mattered."""
    page = _TEMPLATES.get_template("front.html").render(
        task=task, version=champion.version, inputs=champion.inputs, most=MAX_CHARACTERS
    )
    return HTMLResponse(page, headers=_HEADERS)


def docs(schema: dict[str, Any]) -> HTMLResponse:
    """Return an OpenAPI document as a page."""
    page = _TEMPLATES.get_template("docs.html").render(schema=schema, named=_named)
    return HTMLResponse(page, headers=_HEADERS)


def _named(shape: dict[str, Any]) -> Markup:
    """Return the name of the schema that another one refers to, as a link to where it stands on the page."""
    name = escape(shape.get("$ref", "").rpartition("/")[2])
    return Markup(f'<a href="#{name}">{name}</a>')
