"""Shards hold the rows that were written and nothing else; of what is read little lies on the disk at any time."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import InputError, read_json
from pipeline.storage import Storage
from pipeline.tokenization.shards import ShardedRows, growing_shards

ROWS = np.random.default_rng(0).integers(0, 2**16, size=(1_000, 8)).astype(np.uint16)
MEGABYTES = 0.001  # 54 rows of 16 bytes and a header of 128: 19 shards, the last one of 28 rows
WINDOW = 3


def write(folder: Path, rows: np.ndarray = ROWS) -> Path:
    """Write `rows` below `folder`, some at a time; return the manifest."""
    manifest, url = folder / "shards.json", f"file://{folder}/storage"
    with growing_shards(manifest, (8,), rows.dtype, url=url, megabytes=MEGABYTES, window=WINDOW) as append:
        assert [append(part) for part in np.split(rows, [0, 1, 5, 700])] == [0, 1, 5, 700, 1_000]
    return manifest


def opened(folder: Path) -> ShardedRows:
    return ShardedRows(folder / "shards.json", f"file://{folder}/storage", folder / "cache")


def test_shards_are_named_by_their_bytes_and_hold_the_rows(tmp_path: Path) -> None:
    found = read_json(write(tmp_path))
    files = [tmp_path / "storage" / f"{shard['sha256']}.npy" for shard in found["shards"]]
    assert [shard["rows"] for shard in found["shards"]] == [54] * 18 + [28]
    assert sorted(files) == sorted((tmp_path / "storage").iterdir())
    assert all(hashlib.sha256(file.read_bytes()).hexdigest() == file.stem for file in files)
    assert max(file.stat().st_size for file in files) <= MEGABYTES * 1e6
    assert np.array_equal(np.concatenate([np.load(file) for file in files]), ROWS)

    rows = opened(tmp_path)
    assert rows.shape == (1_000, 8) and len(rows) == 1_000
    assert all(np.array_equal(rows[row], ROWS[row]) for row in (999, 0, 53, 54, 971, 972))
    with pytest.raises(IndexError):
        rows[1_000]


def test_the_manifest_is_that_of_the_rows_wherever_they_lie(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name) for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert write(tmp_path / "third", ROWS[::-1]).read_bytes() != first.read_bytes()


def test_rows_of_another_kind_are_refused(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/storage"
    with (
        pytest.raises(ValueError, match=r"rows of uint16 \(4,\), expected uint16 \(8,\)"),
        growing_shards(tmp_path / "m", (8,), ROWS.dtype, url=url, megabytes=1, window=1) as append,
    ):
        append(ROWS[:, :4])


def on_disk(cache: Path) -> int:
    """Return the bytes that a folder holds; a file that is deleted and still mapped by this process keeps its room."""
    held = {file.stat().st_ino: file.stat().st_size for file in cache.iterdir()}
    for line in Path("/proc/self/maps").read_text().splitlines():
        if f"{cache}/" in line:
            held.setdefault(int(line.split()[4]), int(MEGABYTES * 1e6))
    return sum(held.values())


def test_the_disk_never_holds_more_than_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    rows, fetch = opened(tmp_path), Storage.fetch
    before: list[int] = []  # what the disk holds when a shard is about to come
    monkeypatch.setattr(Storage, "fetch", lambda *given: before.append(on_disk(rows.cache)) or fetch(*given))
    for seed in range(2):
        for batch in rows.batches(9, np.random.default_rng(seed)):
            assert np.array_equal(np.stack([rows[int(row)] for row in batch]), ROWS[batch])
            assert on_disk(rows.cache) <= WINDOW * MEGABYTES * 1e6
    assert 19 < len(before) <= 2 * 19  # each once a pass
    assert 900 * (WINDOW - 1) < max(before) <= (WINDOW - 1) * MEGABYTES * 1e6


def test_what_lies_in_the_cache_is_used_again_but_not_what_is_broken(tmp_path: Path) -> None:
    write(tmp_path)
    first = opened(tmp_path)
    for row in (0, 54, 108):
        first[row]
    kept, broken, _ = (tmp_path / "cache" / f"{name}.npy" for name in first.names[:3])
    broken.write_bytes(broken.read_bytes()[:-1] + b"?")
    draft = tmp_path / "cache" / f".{kept.name}.0-0.{'0' * 32}.partial"
    draft.write_bytes(b"of a process that was killed")
    for file in (tmp_path / "storage").iterdir():
        if file.name != broken.name:
            file.unlink()
    again = opened(tmp_path)
    assert np.array_equal(again[0], ROWS[0]) and np.array_equal(again[60], ROWS[60])
    assert not draft.exists()


def test_a_shard_that_changed_or_is_gone_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    rows = opened(tmp_path)
    file = tmp_path / "storage" / f"{rows.names[1]}.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=rf"^file://{file}: 992 bytes with sha256 \w+, expected {file.stem}$"):
        rows[54]
    file.unlink()
    with pytest.raises(InputError, match=rf"^file://{file}: no such file, expected it on the storage \(corpus"):
        rows[54]
    assert not list((tmp_path / "cache").glob("*.npy"))
