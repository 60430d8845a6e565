"""Where the parts of a dataset are worked on: one after another in this process, or by Ray on the cores of a cluster.

The function and the parts are the same for both, and so are the results and their order.
"""

import collections
import functools
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from pipeline.files import InputError

Part = TypeVar("Part")
Result = TypeVar("Result")
Engine = Literal["local", "ray"]
WAITING = 2  # parts for each core of a cluster: one that is worked on, one that is ready


def map_in_order(
    function: Callable[[Part], Result], parts: Iterable[Part], *, engine: Engine, cores: int = 1
) -> Iterator[Result]:
    """Yield `function(part)` for each of `parts`, in their order.

    Parts are taken as they are needed, and results are not kept, so neither have to fit in memory together.
    `ray` starts a Ray on this machine, or goes to the cluster that RAY_ADDRESS names, and brings this package's code
    and the function along; a worker that dies has its part done again by another, as Ray's `max_retries` has it. Each
    part then occupies `cores` of the cluster. What `function` raises, is raised here.
    Raises InputError where Ray is not installed or no cluster is at RAY_ADDRESS.
    """
    return map(function, parts) if engine == "local" else _map_by_ray(function, parts, cores)


def _map_by_ray(function: Callable[[Part], Result], parts: Iterable[Part], cores: int) -> Iterator[Result]:
    ray = _connect()
    most = max(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    if most < cores:  # Ray would wait for a larger machine
        raise InputError(f"runtime.threads: {cores}, expected at most {most:g}, the cores that Ray has on one machine")
    call = ray.remote(num_cpus=cores)(_call)
    kept = [ray.put(function)]  # a reference in a list comes as it is, one by itself would be unpacked for each part
    waiting: collections.deque[Any] = collections.deque()
    try:
        for part in parts:
            waiting.append(call.remote(kept, part))
            if len(waiting) >= WAITING * max(1, int(ray.cluster_resources().get("CPU", 1)) // cores):
                yield ray.get(waiting.popleft())
        while waiting:
            yield ray.get(waiting.popleft())
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    finally:
        for left in waiting:
            ray.cancel(left)


def _call(kept: list[Any], part: Part) -> Any:
    return _unpacked(kept[0])(part)


@functools.lru_cache(maxsize=1)
def _unpacked(function: Any) -> Any:
    """Return the function behind a reference, which a worker fetches once and not for every part."""
    import ray

    return ray.get(function)


def _connect() -> Any:
    """Return Ray, connected to the cluster at RAY_ADDRESS or to one of its own that ends with this process."""
    try:
        import ray
    except ImportError:
        raise InputError(
            "engine: ray is not installed, expected `python -m pip install --no-deps -r constraints-ray.txt` before"
        ) from None
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_worker_niceness", "0")  # 15 by default, which any other work would starve
        os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # of parts behind the one whose error is raised
        address, handler = os.environ.get("RAY_ADDRESS", "local"), signal.getsignal(signal.SIGTERM)
        # a task has one core, of which libraries that look for themselves would see all
        shipped = {"py_modules": [str(Path(__file__).parent)], "env_vars": {"RAYON_NUM_THREADS": "1"}}
        _check_address(address)
        own = {"include_dashboard": False} if address == "local" else {}
        try:
            ray.init(address, runtime_env=shipped, logging_level=logging.ERROR, log_to_driver=False, **own)
        except ConnectionError:
            raise InputError(f"RAY_ADDRESS: {address} took no connection, expected its RAY_AUTH_TOKEN here") from None
        signal.signal(signal.SIGTERM, handler)  # Ray puts its own in the place of the stage's
    return ray


def _check_address(address: str) -> None:
    """Raise InputError where nobody answers at HOST:PORT, of which Ray would take minutes to be sure."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host and port.isdecimal():
            socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise InputError(
            f"RAY_ADDRESS: {address} does not answer ({error}), expected a cluster (`ray start --head`)"
        ) from None
