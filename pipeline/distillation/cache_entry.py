"""Entries of a cache on the disk: written whole or not at all, under a hash of everything their bits depend on.

One whose key or bytes are not what its marker says is refused and made anew.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.files import replacing, sha256_of_file, stable_hash, write_json

MARKER = "complete.json"


def cached(folder: Path, key: dict[str, Any], make: Callable[[Path], None]) -> Path:
    """Return the entry of `key` in the cache `folder`; where no good one stands, `make` writes its npy files."""
    entry = folder / stable_hash(key)[:16]
    if not _is_good(entry, key):
        with replacing(entry) as draft:
            make(draft)
            hashes = {str(file.relative_to(draft)): sha256_of_file(file) for file in sorted(draft.rglob("*.npy"))}
            write_json(draft / MARKER, {"key": key, "files": hashes})
    return entry


def _is_good(entry: Path, key: dict[str, Any]) -> bool:
    """Tell whether the entry was finished, for this key, and still holds the bytes it was finished with."""
    try:
        marker = json.loads((entry / MARKER).read_text(encoding="utf-8"))
        return bool(
            marker["key"] == key
            and all(sha256_of_file(entry / file) == expected for file, expected in marker["files"].items())
        )
    except (OSError, ValueError, KeyError):
        return False
