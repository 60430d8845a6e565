"""Where the bytes of a file or folder lie, and the hashes that DVC and stillhouse give them."""

import hashlib
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.files import InputError, sha256_of_file

IGNORED = ("__pycache__", ".pyc")  # what .dvcignore keeps out of DVC's hashes


@dataclass(frozen=True)
class Copy:
    """One copy of a file or folder. files: by path inside the folder; a single file stands under the empty path."""

    where: str
    files: dict[str, Path]

    def md5(self) -> str:
        """Return the hash that dvc.lock has: a file's md5, or the md5 of DVC's list of a folder's files and `.dir`.

        Source: `Tree.as_bytes` of dvc-data 3.18.
        """
        if set(self.files) == {""}:
            return md5_of_file(self.files[""])
        entries = [{"md5": md5_of_file(file), "relpath": name} for name, file in sorted(self.files.items())]
        return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"

    def sha256(self) -> str:
        """Return what `pipeline.files.content_hash` gives the same file or folder, wherever its parts lie."""
        if set(self.files) == {""}:
            return sha256_of_file(self.files[""])
        digest = hashlib.sha256()
        for name in sorted(self.files, key=PurePosixPath):
            digest.update(f"{name}\0{sha256_of_file(self.files[name])}\n".encode())
        return digest.hexdigest()


def md5_of_file(path: Path) -> str:
    """Return the md5 of a file's bytes as 32 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def in_folder(where: str, root: Path, path: str) -> Copy | None:
    """Return the copy that lies at `path` below `root`, or None where there is nothing."""
    place = root / path
    if place.is_file():
        return Copy(where, {"": place})
    if not place.is_dir():
        return None
    members = [file for file in place.rglob("*") if file.is_file()]
    kept = [file for file in members if IGNORED[0] not in file.parts and file.suffix != IGNORED[1]]
    return Copy(where, {file.relative_to(place).as_posix(): file for file in kept})


def in_cache(cache: Path, md5: str) -> Copy | None:
    """Return the copy that DVC's cache keeps under a hash of dvc.lock, or None where it does not keep all of it."""
    where, file = "cache", _cached(cache, md5)
    if not file.is_file():
        return None
    if not md5.endswith(".dir") or md5_of_file(file) + ".dir" != md5:
        return Copy(where, {"": file})  # a folder's list that has changed is shown as what it is: other bytes
    entries = json.loads(file.read_bytes())
    files = {entry["relpath"]: _cached(cache, entry["md5"]) for entry in entries}
    return Copy(where, files) if all(member.is_file() for member in files.values()) else None


def _cached(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def check_out(commit: str, folder: Path) -> None:
    """Write the files of a commit of this repository into `folder`; raise InputError where git cannot give them."""
    top = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True).stdout.strip()
    archive = folder / "commit.tar"
    command = ["git", "archive", "--format=tar", f"--output={archive}", commit]
    done = subprocess.run(command, cwd=top or None, capture_output=True, text=True)
    if done.returncode:
        raise InputError(
            f"git commit {commit}: not here ({' '.join(done.stderr.split())}), expected the version's code"
        )
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    archive.unlink()
