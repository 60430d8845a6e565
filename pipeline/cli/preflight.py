"""What a run needs besides valid parameters, asked before the first stage: files, packages, a place to write, room."""

import importlib.metadata
import os
import shutil
import tempfile
from pathlib import Path

from pipeline.files import InputError
from pipeline.params import HubWeights, Params
from pipeline.params.fit import misfits

WRITTEN = (".", ".dvc", ".stillhouse", "data", "models", "reports", "mlruns", "mlflow.db", "dvc.lock")
HUB_SECONDS = 5.0
ROOM = 2 * 2**30  # bytes; a run leaves about half of that, and besides what losses of layers have the teacher cache


def check_project() -> None:
    """Raise InputError unless the current folder is a project."""
    for name in ("dvc.yaml", "params.yaml", ".dvc/config"):
        if not Path(name).is_file():
            raise InputError(f"{name}: not in {Path.cwd()}, expected to be started in the project's folder")


def check_surroundings(params: Params) -> None:
    """Raise InputError naming what is missing: a file, a package, the right to write, room on the disk."""
    check_project()
    for name, dataset in params.datasets.items():
        _check_path(f"datasets.{name}.path", dataset.path, getattr(dataset.source, "origin", None))
        if dataset.counter_examples is not None:
            _check_path(f"datasets.{name}.counter_examples.file", dataset.counter_examples.file)
        if dataset.source.kind == "package":
            _check_package(f"datasets.{name}.source.package", dataset.source.package)
    _check_path("init_from.path", params.init_from.path)
    if params.init_from.kind == "package":
        _check_package("init_from.package", params.init_from.package)
    _check_students(params)
    for path in map(Path, WRITTEN):
        if path.exists() and not os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
            raise InputError(f"{path.resolve()}: not writable by user {os.getuid()}, expected one who may write to it")
    check_room()


def check_room() -> None:
    """Raise InputError where the disk has less room than a run may need."""
    free = shutil.disk_usage(".").free
    if free < ROOM:
        raise InputError(
            f"{Path.cwd()}: {free / 2**30:.1f} GB free on this disk, expected at least {ROOM / 2**30:.0f} GB for a run"
        )


def _check_path(key: str, path: str, origin: str | None = None) -> None:
    if Path(path).exists():
        if not os.access(path, os.R_OK):
            raise InputError(f"params.yaml: {key}: {path}: not readable, expected user {os.getuid()} to have access")
        return
    remedy = "expected a file or folder of the project" + (f", which comes from {origin}" if origin else "")
    if Path(f"{path}.dvc").exists():
        remedy = "`dvc pull` fetches it"
    raise InputError(f"params.yaml: {key}: {path}: no such file, {remedy}")


def _check_students(params: Params) -> None:
    """Raise InputError where a student cannot learn from a teacher of the shape and the tokens `init_from` brings."""
    from pipeline.architectures.shape import shape_of

    with tempfile.TemporaryDirectory() as fetched:
        folder = _adopted_folder(params, Path(fetched))
        if folder is None:
            return
        teacher = shape_of(folder)
        for name, task in params.tasks.items():
            for problem in misfits(f"tasks.{name}", task, teacher):
                raise InputError(f"params.yaml: {problem}")
        _check_cut_vocabularies(params, folder)


def _adopted_folder(params: Params, fetched: Path) -> Path | None:
    """Return the folder of the weights that `init_from` names, or of their shape and tokenizer alone.

    None for random weights, and where the hub cannot be asked. What is fetched to look at goes to `fetched`: files in
    the hub's cache would be taken for a whole model by whoever has no network next time.
    """
    from pipeline.architectures.initial_weights import resolve

    init_from = params.init_from
    if not isinstance(init_from, HubWeights):
        return resolve(init_from, Path(init_from.path))
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(init_from.name, "config.json", revision=init_from.revision)
    if isinstance(cached, str):
        return Path(cached).parent
    return fetched if _fetch_shape(init_from, fetched) else None


def _fetch_shape(init_from: HubWeights, folder: Path) -> bool:
    """Fetch the model's config.json and, where it has one, tokenizer.json; return whether the hub gave the first.

    What the hub answers but for these files is left to the stage that fetches all of the model, and says what is wrong.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    from pipeline.tokenization.adoption import FAST_FILE

    name, revision = init_from.name, init_from.revision
    try:  # a download tries six times in half a minute, this once
        get_hf_file_metadata(hf_hub_url(name, "config.json", revision=revision), timeout=HUB_SECONDS)
        for file in ("config.json", FAST_FILE):
            hf_hub_download(name, file, revision=revision, local_dir=folder)
    except EntryNotFoundError:
        pass  # an older tokenizer has no such file
    except Exception:  # no network, no such model, no access: the client's classes for it change with its HTTP library
        return False
    return (folder / "config.json").is_file()


def _check_cut_vocabularies(params: Params, folder: Path) -> None:
    """Raise InputError where a student's vocabulary is to be cut of a tokenizer that only comes whole.

    With weights their tokenizer is always adopted: pipeline.params sees to that.
    """
    from pipeline.tokenization.adoption import FAST_FILE
    from pipeline.tokenization.folder import read_tokenizer

    sizes = {name: task.student.vocabulary_size for name, task in params.tasks.items()}
    cut = [name for name, size in sizes.items() if size is not None]
    if not cut or not (folder / FAST_FILE).is_file():  # what is older than that file is converted by its stage alone
        return
    kind = type(read_tokenizer(folder / FAST_FILE).model).__name__
    if kind != "WordPiece":
        adopted = params.init_from.name if isinstance(params.init_from, HubWeights) else folder
        raise InputError(
            f"params.yaml: tasks.{cut[0]}.student.vocabulary_size: must be null (the teacher's tokens) where the "
            f"adopted tokenizer, a {kind} in {adopted}, is no WordPiece, got {sizes[cut[0]]}"
        )


def _check_package(key: str, package: str) -> None:
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(f"params.yaml: {key}: {package} is not installed, expected it in this environment") from None
