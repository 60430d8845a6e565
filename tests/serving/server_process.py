"""`stillhouse serve` as a process, and clients of it."""

import contextlib
import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.trust.orchard import read_until, start

PATIENCE = 120  # seconds for a model to be loaded on a busy machine


class Server:
    """A running server and the simplest of clients: a connection for each request."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        """Return status and body of the answer; `body` is sent as JSON, bytes as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            return ask(connection, path, body, **headers)

    def predict(self, *texts: str) -> dict[str, Any]:
        status, said = self.ask("/predict", {"rows": [{"text": text} for text in texts]})
        assert status == 200, said
        return dict(json.loads(said))

    def metric(self, name: str) -> float:
        """Return the sum of the samples of a metric, whatever their labels."""
        _, text = self.ask("/metrics")
        return sum(float(value) for value in re.findall(rf"(?m)^{name}(?:{{.*}})? (\S+)$", text))

    def wait_until_ready(self) -> list[int]:
        """Return the statuses that /ready had until it was 200."""
        deadline, seen = time.monotonic() + PATIENCE, []
        while not seen or seen[-1] != 200:
            assert time.monotonic() < deadline and self.process.poll() is None
            seen.append(self.ask("/ready")[0])
            time.sleep(0.1)
        return seen


def ask(connection: http.client.HTTPConnection, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    connection.request(method, path, data, {"Content-Type": "application/json"} | headers)
    response = connection.getresponse()
    return response.status, response.read().decode()


@contextlib.contextmanager
def served(folder: Path, *options: str) -> Iterator[Server]:
    """Start a server for the champion in `folder`, and end it if it has not ended."""
    command = [sys.executable, "-m", "pipeline.cli", "serve", "--port", "0", *options]
    with start(folder, *command, MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db") as process:
        try:
            line = read_until(process, " at http://127.0.0.1:")
            yield Server(process, int(line.partition("http://127.0.0.1:")[2].partition(",")[0]))
        finally:
            process.kill()


class Clients:
    """Threads that ask again and again, each on one connection that it keeps open, until told to stop.

    `answers` are the versions that answered each client, `failures` what was answered wrongly, `dropped` what was sent
    and got no answer; `refused` counts the clients that found the port closed and ended.
    """

    def __init__(self, server: Server, count: int, rows: int) -> None:
        self.server, self.rows = server, rows
        self.answers: list[list[int]] = [[] for _ in range(count)]
        self.failures: list[str] = []
        self.dropped: list[str] = []
        self.refused = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=[number]) for number in range(count)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def wait(self) -> None:
        """Return when all have ended by themselves."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        texts = [f"{'play ' * (1 + row)} {number}" for row in range(self.rows)]
        with contextlib.closing(connection):
            while not self._stop.is_set():
                if connection.sock is None:
                    try:
                        connection.connect()
                    except ConnectionRefusedError:
                        self.refused += 1
                        return
                try:
                    status, said = ask(connection, "/predict", {"rows": [{"text": text} for text in texts]})
                except (OSError, http.client.HTTPException) as error:
                    self.dropped.append(repr(error))
                    return
                answer = json.loads(said)
                if status != 200 or [row["text"] for row in answer["answers"]] != texts:
                    self.failures.append(said)
                    return
                self.answers[number].append(answer["version"])
