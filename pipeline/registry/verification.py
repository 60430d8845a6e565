"""From a registered version back to the raw rows and the code: the bytes of every link are hashed again."""

import json
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.files import InputError, sha256_of_file
from pipeline.params import read_yaml
from pipeline.registry.chain import Chain, Link, walk_back
from pipeline.registry.copies import Copy, check_out, in_cache, in_folder
from pipeline.registry.lineage import PROJECT_FILES
from pipeline.registry.publish import GRAPH, OF_GRAPH, STORED, stored_folders

NAMED = ("student", "exported", "teacher", "pretrained", "rows", "corpus", "evaluation", "predictions")
OUTPUTS = (
    "student",
    "exported",
    "evaluation",
    "predictions",
)  # what the walk starts from: the model and what the gate read
RECORDS = ("run/dvc.lock", "run/params.yaml")
DIRTY = "-dirty"  # of a revision: there were changes beside the commit
WEIGHTS = "model.safetensors"  # what a graph was made of does not stand beside it
CARD = "README.md"  # laid beside the student's files when it was registered


@dataclass(frozen=True)
class Checked:
    """One link: its name, its hash as recorded, where its bytes were found, what is wrong with it, if anything."""

    link: str
    recorded: str
    where: str
    problem: str | None = None


@dataclass(frozen=True)
class Places:
    """Where copies of a link may lie.

    version: what MLflow keeps, by the path it was written to. current: the md5 of each path as the workspace's own
    dvc.lock has it. cache: DVC's. commit: the files of the version's commit, None where it was made from others.
    """

    version: dict[str, Copy]
    current: dict[str, str]
    cache: Path
    commit: Path | None

    def copies(self, link: Link) -> list[Copy]:
        """Return every copy that is here; the workspace's only where it is of the run that the version came from."""
        found = [self.version.get(link.path)]
        if self.current.get(link.path, link.md5) == link.md5:
            found.append(in_folder("workspace", Path(), link.path))
        found.append(in_cache(self.cache, link.md5))
        if link.producer is None and self.commit:
            found.append(in_folder("git", self.commit, link.path))
        return [copy for copy in found if copy]


def verify(mlflow: ModuleType, version: Any, cache: Path) -> list[Checked]:
    """Return every link behind `version`, MLflow's ModelVersion, last made first, each hashed again.

    `cache` is the folder of DVC's cache; the current folder is the project.
    """
    tags = version.tags
    missing = [key for key in (STORED, *(_tag(name, "path") for name in NAMED)) if key not in tags]
    if missing:
        older = f"has no tag {missing[0]}: an older stillhouse registered it and did not record all links"
        return [Checked(f"{version.name}/{version.version}", "", "MLflow", older)]
    folders = stored_folders(mlflow, version.run_id, version.source)
    stored = _check_stored(tags, folders)
    if any(row.problem and row.link in RECORDS for row in stored):
        return stored  # what the rest was is written in these
    lock, params = (read_yaml(folders["run"] / Path(name).name) for name in RECORDS)
    chain, revision = walk_back(lock, [tags[_tag(name, "path")] for name in OUTPUTS]), tags["stillhouse.code"]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            commit, lost = _checked_out(revision, Path(scratch)), None
        except InputError as error:
            commit, lost = None, Checked("code", revision, "nowhere", str(error))
        whole = None if revision.endswith(DIRTY) else commit  # what was changed may be any of its files
        places = Places(_kept_by_mlflow(tags, folders), _current_hashes(), cache, whole)
        return [
            *stored,
            *[_check_link(link, places.copies(link), _recorded(tags, link.path)) for link in chain.links.values()],
            *_check_named(chain, tags),
            *[_check_outside(section) for section in chain.from_outside()],
            _check_params(chain, params),
            lost or _check_code(chain, revision, commit),
        ]


def _tag(name: str, what: str) -> str:
    return f"stillhouse.{name}_{what}"


def _check_stored(tags: dict[str, str], folders: dict[str, Path]) -> list[Checked]:
    """Hash the files that MLflow keeps of a version; where all are as they were they make one row."""
    try:
        stored = json.loads(tags[STORED])
    except json.JSONDecodeError:
        stored = {}
    broken = [Checked(name, "", "MLflow", f"tag {STORED} does not name it") for name in RECORDS if name not in stored]
    tagged = {name: tags.get(_tag(name.replace(".", "_"), "sha256")) for name in PROJECT_FILES}
    recorded = [*stored.items(), *((f"run/{name}", sha256) for name, sha256 in tagged.items() if sha256)]
    for name, sha256 in recorded:
        kind, _, path = name.partition("/")
        file = folders.get(kind, Path("nowhere")) / path
        found = sha256_of_file(file) if file.is_file() else "that of no file: it is gone"
        if found != sha256:
            broken.append(Checked(name, sha256, "MLflow", f"its sha256 is {found}, the version's tag says {sha256}"))
    return broken or [Checked(f"{len(stored)} files of the version", "", "MLflow")]


def _checked_out(revision: str, folder: Path) -> Path | None:
    """Return a folder with the files of the commit that the version was made at, None where git knew of none."""
    if revision == "unknown":
        return None
    check_out(revision.removesuffix(DIRTY), folder)
    return folder


def _kept_by_mlflow(tags: dict[str, str], folders: dict[str, Path]) -> dict[str, Copy]:
    kept = {
        _tag(name, "path"): in_folder("MLflow", folders["run"], Path(tags[_tag(name, "path")]).name) for name in OUTPUTS
    }
    if model := in_folder("MLflow", folders["model"], "artifacts/model"):
        plain = {name: file for name, file in model.files.items() if name not in (CARD, *OF_GRAPH)}
        kept[_tag("student", "path")] = Copy("MLflow", plain)
        graph = {name: file for name, file in model.files.items() if name not in (CARD, WEIGHTS)}
        alone = {name: file for name, file in model.files.items() if name in OF_GRAPH}
        kept[_tag("exported", "path")] = Copy("MLflow", graph if GRAPH in graph else alone)
    return {tags[tag]: copy for tag, copy in kept.items() if copy}


def _current_hashes() -> dict[str, str]:
    if not Path("dvc.lock").is_file():
        return {}
    stages = read_yaml(Path("dvc.lock")).get("stages", {}).values()
    entries = [entry for kind in ("deps", "outs") for stage in stages for entry in stage.get(kind, [])]
    return {entry["path"]: entry["md5"] for entry in entries}


def _recorded(tags: dict[str, str], path: str) -> list[str]:
    """Return the sha256 hashes that the version's tags have for a path; two links may be one file."""
    return [tags[_tag(name, "sha256")] for name in NAMED if tags[_tag(name, "path")] == path]


def _check_link(link: Link, copies: list[Copy], recorded: list[str]) -> Checked:
    problems = link.mismatches()
    for copy in copies:
        found = copy.md5()
        if found != link.md5:
            problems.append(f"the copy in {copy.where} has md5 {found}, dvc.lock says {link.md5}")
        elif recorded and set(recorded) != {sha256 := copy.sha256()}:
            problems.append(
                f"the copy in {copy.where} has sha256 {sha256}, the version's tags say {' and '.join(recorded)}"
            )
    if not copies:
        problems.append(
            "its bytes are not here, neither in the workspace nor in DVC's cache (`dvc pull` may fetch them)"
        )
    where = ", ".join(copy.where for copy in copies) or "nowhere"
    return Checked(link.path, link.md5, where, "; ".join(problems) or None)


def _check_named(chain: Chain, tags: dict[str, str]) -> list[Checked]:
    """Return the links that the version's tags name and dvc.lock does not know."""
    paths = {name: tags[_tag(name, "path")] for name in NAMED}
    return [
        Checked(path, tags[_tag(name, "sha256")], "nowhere", f"dvc.lock has no {name} at this path behind the version")
        for name, path in paths.items()
        if path not in chain.links
    ]


def _check_outside(section: dict[str, Any]) -> Checked:
    """Hash the file of an installed package; what the hub keeps is not here."""
    if section["kind"] == "hub":
        name, revision = section["name"], str(section["revision"])
        return Checked(
            f"hub: {name}", revision, "nowhere", "its bytes are with the hub, none of them to be hashed here"
        )
    name = section.get("file") or f"{section['folder']}/model.safetensors"
    link, expected = f"{section['package']}: {name}", section["sha256"]
    try:
        file = Path(str(distribution(section["package"]).locate_file(name)))
        found = sha256_of_file(file)
    except (PackageNotFoundError, FileNotFoundError):
        return Checked(link, expected, "nowhere", f"package {section['package']} with this file is not installed here")
    problem = f"its sha256 is {found}, the version was made from {expected}"
    return Checked(link, expected, "installed package", None if found == expected else problem)


def _check_params(chain: Chain, params: dict[str, Any]) -> Checked:
    """Compare what each stage ran with to the params.yaml that was registered."""
    other = [
        f"{stage} ran with another {key}"
        for stage, values in chain.params.items()
        for key, value in values.items()
        if value != _at(params, key)
    ]
    return Checked("params.yaml", "", "MLflow", "; ".join(other) or None)


def _at(params: dict[str, Any], key: str) -> Any:
    value: Any = params
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _check_code(chain: Chain, revision: str, commit: Path | None) -> Checked:
    """Compare the code that each stage ran to the version's commit, or to the working tree where that had changes."""
    places = {"git": commit} if commit else {}
    if commit is None or revision.endswith(DIRTY):
        places["the working tree"] = Path()
    paths = {path for _, path, _ in chain.code}
    held = {path: {name: _md5_of(root, path) for name, root in places.items()} for path in paths}
    wrong, used = [], set()
    for stage, path, md5 in chain.code:
        used.update([name for name, found in held[path].items() if found == md5][:1])
        if md5 not in held[path].values():
            others = " and ".join(f"in {name} it is {found}" for name, found in held[path].items())
            wrong.append(f"{stage} ran a {path} of md5 {md5}, {others}")
    where = ", ".join(name for name in places if name in used)
    return Checked(f"code, {len(paths)} files and folders", revision, where, "; ".join(wrong) or None)


def _md5_of(root: Path, path: str) -> str:
    copy = in_folder("", root, path)
    return copy.md5() if copy else "that of nothing"
