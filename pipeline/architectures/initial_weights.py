"""Where the weights that `init_from` names lie on this machine. No torch: the tokenizer stage looks here too."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from pipeline.files import InputError, sha256_of_file
from pipeline.params import HubWeights, LocalWeights, PackageWeights, RandomWeights

InitFrom = PackageWeights | LocalWeights | HubWeights | RandomWeights


def resolve(init_from: InitFrom, path: Path) -> Path | None:
    """Return the local model folder that `init_from` names, None for random weights.

    `path` is what the stage depends on: the folder itself for kind folder; it is not read for the other kinds.
    A package is located without importing it. A hub model is fetched once at its pinned revision, then read from
    the hub's cache. Raises InputError where the folder is missing, holds no safetensors weights or the wrong ones.
    """
    if isinstance(init_from, RandomWeights):
        return None
    if isinstance(init_from, PackageWeights):
        folder = _packaged_folder(init_from)
    elif isinstance(init_from, HubWeights):
        folder = _downloaded_folder(init_from)
    else:
        folder = path
    if not (folder / "config.json").is_file():
        raise InputError(f"init_from: {folder} holds no config.json, expected a model folder of transformers")
    if not any(folder.glob("model*.safetensors")):
        raise InputError(f"init_from: {folder} holds no model.safetensors, expected weights in that format")
    return folder


def _packaged_folder(init_from: PackageWeights) -> Path:
    try:
        folder = Path(str(distribution(init_from.package).locate_file(init_from.folder)))
    except PackageNotFoundError:
        raise InputError(f"init_from.package: {init_from.package} is not installed, expected it to be") from None
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise InputError(f"init_from.folder: no {init_from.folder}/model.safetensors in {init_from.package}")
    found = sha256_of_file(weights)
    if found != init_from.sha256:
        raise InputError(
            f"init_from.sha256: {init_from.folder}/model.safetensors of {init_from.package} has sha256 {found}, "
            f"expected {init_from.sha256}"
        )
    return folder


def _downloaded_folder(init_from: HubWeights) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    wanted = f"init_from: model {init_from.name} at revision {init_from.revision}"
    files = ["*.json", "*.txt", "*.safetensors"]
    try:
        return Path(snapshot_download(init_from.name, revision=init_from.revision, allow_patterns=files))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise InputError(f"{wanted} is not on the hub, expected one that is") from None
    except LocalEntryNotFoundError:
        raise InputError(f"{wanted} is neither in the hub's cache nor within reach of the network") from None
