"""The process behind `stillhouse serve`: one port, one event loop, an end that drops nothing."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

import uvicorn

from pipeline import tracking
from pipeline.files import InputError
from pipeline.registry import champion

DRAIN_SECONDS = 1.0
END_SECONDS = 30  # what requests in flight get at most


class DrainingServer(uvicorn.Server):
    """Ends in two steps, so that no request is lost on a connection that a client keeps open.

    A server that closes a connection while the client's next request is on its way has dropped it. So the port is
    closed first, and for DRAIN_SECONDS each answer says that it is its connection's last.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, answer what is in flight or about to be sent, then close what is idle."""
        for server in self.servers:
            server.close()
        self.server_state.default_headers.append((b"connection", b"close"))
        await asyncio.sleep(DRAIN_SECONDS)
        await super().shutdown(sockets)


def serve(task: str, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Answer for the champion of `task` at http://host:port until SIGTERM or Ctrl-C.

    `announce` is called with the address once it is listened to. Port 0 takes one that is free. Raises InputError where
    there is no champion or the address cannot be had.
    """
    # read when torch is imported: a thread that spins while it waits for others takes time from the event loop
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    mlflow = tracking.connect()
    champion.current_version(mlflow, task)
    with _listening(host, port) as listener:
        from pipeline.serving.app import create_app

        for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background job inherits the second one ignored
            signal.signal(number, signal.default_int_handler)
        settings = uvicorn.Config(
            create_app(mlflow, task), log_level="warning", access_log=False, timeout_graceful_shutdown=END_SECONDS
        )
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        announce(address)
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn repeats the signal once all is answered
            DrainingServer(settings).run(sockets=[listener])
    print("stillhouse: serve: ended, all that was asked is answered", flush=True)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns off Nagle's algorithm, which costs an answer 40 ms, only where the protocol is named
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        with contextlib.ExitStack() as unless_listening:
            unless_listening.enter_context(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(2048)
            unless_listening.pop_all()
        return listener
    except (OSError, OverflowError) as error:
        raise InputError(f"--host {host} --port {port}: {error}, expected an address that is free") from None
