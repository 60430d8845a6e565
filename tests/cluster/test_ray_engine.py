"""Ray gives what this process would: the same results in the same order, errors, and whole ones after a kill."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipeline.engine
from pipeline.engine import map_in_order
from pipeline.files import InputError
from tests.cluster.ray_processes import of_ray


def test_results_come_in_order_and_parts_are_taken_as_they_are_needed(cluster: Path) -> None:
    taken = []

    def parts() -> Iterator[int]:
        for part in range(40):
            taken.append(part)
            yield part

    def late(part: int) -> int:
        time.sleep(0.2 if part == 0 else 0)
        return part * part

    results = map_in_order(late, parts(), engine="ray")
    assert next(results) == 0
    assert taken == [0, 1, 2, 3]  # two for each of two cores
    assert list(results) == [part * part for part in range(1, 40)]


def test_the_package_goes_along_and_comes_before_one_that_is_installed_there(cluster: Path) -> None:
    def places(part: int) -> list[str]:
        return sys.path

    (found,) = map_in_order(places, [0], engine="ray")
    (shipped,) = (place for place in found if place.startswith(f"{cluster}/"))
    code = (Path(shipped) / "pipeline/engine.py").read_text(encoding="utf-8")
    assert code == Path(str(pipeline.engine.__file__)).read_text(encoding="utf-8")
    installed = [number for number, place in enumerate(found) if place.endswith("site-packages")]
    assert found.index(shipped) < min(installed)  # Ray has folders of its own inside of one before it


def test_what_a_part_raises_is_raised_here(cluster: Path) -> None:
    def refuse(part: int) -> int:
        if part == 3:
            raise InputError(f"rows.csv: row {part}, expected none")
        return part

    found = []
    with pytest.raises(InputError) as error:
        found += list(map_in_order(refuse, range(40), engine="ray"))
    assert (type(error.value), str(error.value)) == (InputError, "rows.csv: row 3, expected none")


def test_a_killed_worker_loses_nothing(cluster: Path) -> None:
    def slow(part: int) -> tuple[int, int]:
        time.sleep(0.1)
        return part, os.getpid()

    killed: list[int] = []

    def kill() -> None:
        while len(killed) < 3:
            for process in set(of_ray(cluster, "ray::_call")) - set(killed):
                os.kill(process, signal.SIGKILL)
                killed.append(process)
            time.sleep(0.3)

    results = map_in_order(slow, range(40), engine="ray")
    found = [next(results)]
    thread = threading.Thread(target=kill)
    thread.start()
    found += results
    thread.join()
    assert [part for part, _ in found] == list(range(40))
    processes = {process for _, process in found}
    assert processes & set(killed) and processes - set(killed)


def test_who_has_another_token_is_told_so_in_one_line(cluster: Path) -> None:
    ask = "from pipeline.engine import map_in_order; list(map_in_order(abs, [1], engine='ray'))"
    variables = os.environ | {"RAY_AUTH_TOKEN": "0" * 64}
    done = subprocess.run([sys.executable, "-c", ask], env=variables, capture_output=True, text=True)
    line = f"InputError: RAY_ADDRESS: {os.environ['RAY_ADDRESS']} took no connection, expected its RAY_AUTH_TOKEN here"
    assert line in done.stderr


def test_where_no_ray_is_one_line_says_so(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ask = "from pipeline.engine import map_in_order; list(map_in_order(abs, [1], engine='ray'))"
    variables = os.environ | {"RAY_ADDRESS": address}
    done = subprocess.run([sys.executable, "-c", ask], env=variables, capture_output=True, text=True)
    assert f"InputError: RAY_ADDRESS: {address} does not answer (" in done.stderr
