"""Requests per second and latency of `stillhouse serve` at one client and at many.

    python benchmarks/serving.py [--task TASK] [--clients 1 8 64] [--requests 3000]

Run in a project that has a champion for texts without a pair. Starts the server on loopback, then has each number of
clients ask `--requests` times in all, one text of 5 to 40 words a request; a client sends its next request when it has
the answer to the last. The clients run on the same machine and take their share of it. Every answer is checked to be
for the text that was asked. The server's processor time is given for each request, as other programs on the machine
disturb it less than the clock. The last line is one JSON object; the exit code is 1 where a request had no good answer.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from pipeline.evaluation.efficiency import machine

WORDS = """
the a this that film movie story plot scene actor cast music ending script camera and but with without of in on never
always quite too rather dull warm bright slow funny moving clever empty long short fine great poor is was feels looks
stays turns makes keeps gives loses finds wins
"""
WARM_UP = 200


def texts() -> Iterator[str]:
    """Yield endless sentences, the same ones at every run."""
    chance, words = random.Random(0), WORDS.split()
    while True:
        yield " ".join(chance.choices(words, k=chance.randint(5, 40)))


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> bool:
    """Send one request on an open connection and tell whether its answer is a good one."""
    body = json.dumps({"rows": [{"text": text}]}).encode()
    writer.write(
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    length = next(int(header.partition(":")[2]) for header in headers if header.startswith("content-length:"))
    answer = await reader.readexactly(length)
    return status.split()[1] == "200" and json.loads(answer)["answers"][0]["text"] == text


async def load(port: int, clients: int, requests: int) -> dict[str, Any]:
    """Have `clients` ask `requests` times in all, and return the figures."""
    seconds: list[float] = []
    errors = 0
    questions = itertools.islice(texts(), requests)

    async def client() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for text in questions:  # each takes the next one of all
            started = time.perf_counter()
            errors += not await ask(reader, writer, text)
            seconds.append(time.perf_counter() - started)
        writer.close()

    started = time.perf_counter()
    ended = await asyncio.gather(*(client() for _ in range(clients)), return_exceptions=True)
    took = time.perf_counter() - started
    errors += sum(isinstance(outcome, BaseException) for outcome in ended)
    centiles = statistics.quantiles(seconds, n=100)
    return {
        "clients": clients,
        "requests": len(seconds),
        "errors": errors,
        "requests_per_second": round(len(seconds) / took, 1),
        "p50_milliseconds": round(1000 * centiles[49], 1),
        "p99_milliseconds": round(1000 * centiles[98], 1),
    }


def wait_until_ready(server: subprocess.Popen[str]) -> int:
    """Return the server's port once it has loaded its model."""
    for line in server.stdout or ():
        print(line, end="", flush=True)
        if " at http://" in line:
            port = int(line.partition("http://127.0.0.1:")[2].partition(",")[0])
        if line.rstrip().endswith(" answers"):
            return port
    raise SystemExit("the server ended before it had a model")


def counted(port: int) -> dict[str, float]:
    """Return the server's own counters, by Prometheus's names."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        samples = (line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
        return {name: float(value) for name, value in samples}


def measure(port: int, clients: int, requests: int) -> dict[str, Any]:
    """Return the figures of a load, and what the server counted meanwhile: its processor time and its batches."""
    before = counted(port)
    figures = asyncio.run(load(port, clients, requests))
    after = counted(port)

    def more(name: str) -> float:
        return after[name] - before[name]

    processor = 1000 * more("process_cpu_seconds_total") / requests
    rows = more("stillhouse_batch_rows_sum") / more("stillhouse_batch_rows_count")
    return figures | {"server_processor_milliseconds": round(processor, 2), "rows_per_batch": round(rows, 1)}


def main() -> None:
    """Run the server and its clients, and print a line for each number of them and the closing JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--requests", type=int, default=3000)
    options = parser.parse_args()
    busy = os.getloadavg()[0]
    command = [sys.executable, "-m", "pipeline.cli", "serve", "--port", "0"]
    command += ["--task", options.task] if options.task else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = wait_until_ready(server)
            asyncio.run(load(port, 4, WARM_UP))
            figures = []
            for clients in options.clients:
                figures.append(measure(port, clients, options.requests))
                print(figures[-1], flush=True)
        finally:
            server.terminate()
            server.communicate()
    print(json.dumps({"machine": machine(), "load_before": busy, "figures": figures}))
    raise SystemExit(any(figure["errors"] for figure in figures))


if __name__ == "__main__":
    main()
