"""Which processes a Ray consists of."""

from pathlib import Path


def ray_processes(folder: Path, title: str = "") -> list[int]:
    """Return the processes of the Ray whose temporary folder is `folder`, those alone whose command line is `title`.

    Its servers name the folder in their command lines; workers, whose titles say what they are at, are their children.
    """
    servers, children = [], []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text().replace("\0", " ").strip()
            parent = int((process / "stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        (servers if f"{folder}/" in command else children).append((int(process.name), parent, command))
    known = {number for number, _, _ in servers}
    found = servers + [child for child in children if child[1] in known]
    return [number for number, _, command in found if command.startswith(title)]
