"""Every refusal is JSON with one sentence: `{"error": "rows.0.text: must be a string, got 3"}`."""

import re
import reprlib
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from pipeline.files import InputError, one_line
from pipeline.serving.batching import UnavailableError
from pipeline.serving.limits import MAX_REQUEST_BYTES

_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 60
_SHOWN.maxlevel = 2
_REASONS = {  # by pydantic's name of the error, where its own words are none for whoever asks
    "missing": "missing, expected it to be given",
    "extra_forbidden": "unknown, expected only what /docs names",
    "model_attributes_type": "must be a JSON object",
    "string_unicode": "must be Unicode text without half of a surrogate pair",
}
_SENTENCES = {
    400: "the body cannot be read, expected JSON",
    404: "no such page, expected /predict or another one of /docs",
    413: f"the body is too large, expected at most {MAX_REQUEST_BYTES:,} bytes",
}


def refuse(status: int, sentence: str, **headers: str) -> JSONResponse:
    """Return a response with a sentence fit for a terminal and a log, whatever the request had in it."""
    return JSONResponse({"error": one_line(sentence)}, status, headers)


def add_refusals(app: FastAPI) -> None:
    """Have `app` answer each kind of error in this form."""

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if isinstance(first["input"], bytes):  # only what is declared as JSON was read as such
            kind = request.headers.get("content-type", "none")
            return refuse(415, f"Content-Type: expected application/json, got {kind}")
        if first["type"] == "json_invalid":
            return refuse(400, f"the body is not JSON: {first['ctx']['error']} at character {first['loc'][-1]}")
        return refuse(422, _sentence(first))

    @app.exception_handler(InputError)
    async def refused(request: Request, error: InputError) -> JSONResponse:
        return refuse(422, str(error))

    @app.exception_handler(UnavailableError)
    async def unavailable(request: Request, error: UnavailableError) -> JSONResponse:
        return refuse(503, str(error), **{"Retry-After": "1"})

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        return refuse(error.status_code, _SENTENCES.get(error.status_code, str(error.detail)), **(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return refuse(500, f"the model failed ({type(error).__name__}); the server's log says how")


def _sentence(error: Any) -> str:
    """Return one of pydantic's errors as a sentence: the place, what was expected, what was found."""
    kind, found = error["type"], error["input"]
    place = ".".join(map(str, error["loc"][1:])) or "the body"
    said = error["msg"].removeprefix("Value error, ").partition(" after validation")[0]
    said = _REASONS.get(kind, re.sub(r"^\w+ should (be|have)", r"must \1", said))
    if kind in ("missing", "extra_forbidden", "value_error"):
        return f"{place}: {said}"
    return f"{place}: {said}, got {len(found) if kind.endswith(('too_long', 'too_short')) else _SHOWN.repr(found)}"
