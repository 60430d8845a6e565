"""What happens to every request: it is counted and timed, and its body has a limit."""

import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.limits import MAX_REQUEST_BYTES
from pipeline.serving.metrics import Metrics


class Counted:
    """Counts what is asked and how it is answered, and times what the model is asked."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note the status of its answer."""
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")  # of unknown paths there are without end
                self.metrics.requests.labels(route.path if route else "other", message["status"]).inc()
                if scope["path"] == "/predict":
                    self.metrics.request_seconds.observe(time.perf_counter() - started)
            await send(message)

        await self.app(scope, receive, noting)


class Limited:
    """Refuses a body of more than MAX_REQUEST_BYTES: before it is read where its length is given, else midway.

    Starlette's own middleware does so too, but says it in plain text.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; raise HTTPException from within its reading where it is too large."""
        declared = int(Headers(scope=scope).get("content-length", 0)) if scope["type"] == "http" else 0
        received = 0

        async def limited() -> Message:
            nonlocal received
            if declared > MAX_REQUEST_BYTES:
                raise HTTPException(413)
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_REQUEST_BYTES:
                raise HTTPException(413)
            return message

        await self.app(scope, limited, send)
