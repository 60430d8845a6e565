"""What dvc.lock says a student was made from: every file and folder on the way back to the raw rows."""

from dataclasses import dataclass, field
from typing import Any

CODE = "pipeline/"
OUTSIDE = ("package", "hub")  # kinds of sources that are no file of the project


@dataclass(frozen=True)
class Link:
    """A file or folder between two stages. md5: as its producer wrote it, or as its first reader found what none wrote.

    readers: the md5 that each stage read.
    """

    path: str
    md5: str
    producer: str | None
    readers: dict[str, str]

    def mismatches(self) -> list[str]:
        """Return a line for each stage that read something else than what was written."""
        origin = f"{self.producer} wrote" if self.producer else "another stage read"
        return [
            f"{stage} read md5 {md5}, {origin} {self.md5}" for stage, md5 in self.readers.items() if md5 != self.md5
        ]


@dataclass(frozen=True)
class Chain:
    """All that some outputs rest on: last made first, what no stage made at the end.

    code: (stage, path, md5) for each file or folder of code that a stage ran. params: by stage, the values it ran with.
    """

    links: dict[str, Link] = field(default_factory=dict)
    code: list[tuple[str, str, str]] = field(default_factory=list)
    params: dict[str, dict[str, Any]] = field(default_factory=dict)

    def from_outside(self) -> list[dict[str, Any]]:
        """Return the sections of the parameters that name a file of an installed package or of the hub, each once."""
        values = [value for section in self.params.values() for value in section.values() if isinstance(value, dict)]
        sections = [value.get("source", value) for value in values]
        outside = [section for section in sections if section.get("kind") in OUTSIDE]
        named = [section for section in outside if "files" not in section]
        for section in outside:
            named += [section | {"file": file, "sha256": sha256} for file, sha256 in section.get("files", {}).items()]
        return list({str(section): section for section in named}.values())


def walk_back(lock: dict[str, Any], outputs: list[str]) -> Chain:
    """Return the chain behind `outputs`, paths that stages of `lock`, the content of dvc.lock, have written.

    An output that no stage wrote is not in the chain.
    """
    stages = lock.get("stages", {})
    written = {out["path"]: (stage, out["md5"]) for stage, entry in stages.items() for out in entry.get("outs", [])}
    chain = Chain()
    waiting = [path for path in outputs if path in written]
    readers: dict[str, dict[str, str]] = {path: {} for path in waiting}
    for path in waiting:  # grows while it is walked
        producer, md5 = written.get(path, (None, next(iter(readers[path].values()), "")))
        chain.links[path] = Link(path, md5, producer, readers[path])
        if producer is None or producer in chain.params:
            continue
        chain.params[producer] = stages[producer].get("params", {}).get("params.yaml", {})
        for dep in stages[producer].get("deps", []):
            if dep["path"].startswith(CODE):
                chain.code.append((producer, dep["path"], dep["md5"]))
                continue
            if dep["path"] not in readers:
                readers[dep["path"]] = {}
                waiting.append(dep["path"])
            readers[dep["path"]][producer] = dep["md5"]
    order = {stage: number for number, stage in enumerate(stages)}
    made_last = sorted(chain.links.values(), key=lambda link: -order.get(link.producer or "", -1))
    return Chain({link.path: link for link in made_last}, chain.code, chain.params)
