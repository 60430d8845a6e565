"""The S3 server of docs/how-to/sharded-corpus.md, and commands of pages in a shell."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.processes import end_with_parent
from tests.documentation.pages import ROOT, commands, shell_environment

PAGE = ROOT / "docs/how-to/sharded-corpus.md"
EXPORTED = [command for command in commands(PAGE) if command.startswith("export ")]
(SERVER,) = (command for command in commands(PAGE) if "moto" in command)
(BUCKET,) = (command for command in commands(PAGE) if "create_bucket" in command)


@contextmanager
def serving(port: int) -> Iterator[None]:
    """Run the page's S3 server at `port`."""
    command = [sys.executable, "-W", "ignore", *SERVER.replace("7070", str(port)).split()[1:]]
    log = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=end_with_parent) as process:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.2)
        try:
            yield
        finally:
            process.kill()


def shell(folder: Path, line: str) -> str:
    """Run a line of a page in a project, and return what it printed."""
    environment, pipe = shell_environment(folder), subprocess.PIPE
    done = subprocess.run(["bash", "-c", line], cwd=folder, env=environment, stdout=pipe, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()
