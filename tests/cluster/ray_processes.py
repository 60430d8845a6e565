"""Which processes a Ray consists of."""

from pathlib import Path


def of_ray(folder: Path, title: str = "") -> list[int]:
    """Return the processes of the Ray whose temporary folder is `folder`, those whose command begins with `title`.

    Its servers name the folder in their commands; workers, whose titles say what they are at, are their children.
    """
    running = _running()
    servers = {number for number, (_, command) in running.items() if f"{folder}/" in command}
    found = servers | {number for number, (parent, _) in running.items() if parent in servers}
    return [number for number in found if running[number][1].startswith(title)]


def descendants(process: int, title: str = "") -> list[int]:
    """Return the children of a process, theirs and so on, those alone whose command begins with `title`."""
    running, found = _running(), {process}
    while further := {number for number, (parent, _) in running.items() if parent in found} - found:
        found |= further
    return [number for number in found - {process} if running[number][1].startswith(title)]


def _running() -> dict[int, tuple[int, str]]:
    """Return parent and command line of every process."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text().replace("\0", " ").strip()
            found[int(process.name)] = int((process / "stat").read_text().rpartition(") ")[2].split()[1]), command
        except OSError:
            continue  # it ended meanwhile
    return found
