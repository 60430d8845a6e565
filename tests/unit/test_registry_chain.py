"""What a version rests on outside of the project is named file by file, as parameters name it now and named it once."""

from pipeline.registry.chain import Chain


def test_each_file_of_a_package_is_a_link_of_its_own() -> None:
    package = {"kind": "package", "package": "reviews", "format": "text"}
    hub = {"kind": "hub", "name": "owner/name", "revision": "0" * 40}
    weights = {"kind": "package", "package": "weights", "folder": "model", "sha256": "c"}
    once = {"kind": "package", "package": "reviews", "file": "all.csv", "sha256": "d"}
    params = {
        "ingest@here": {
            "datasets.here": {"source": {"kind": "file", "files": {"train": ["a"], "dev": [], "test": []}}}
        },
        "ingest@two": {"datasets.two": {"source": package | {"files": {"neg.txt": "a", "pos.txt": "b"}}}},
        "ingest@one": {"datasets.one": {"source": package | {"files": {"neg.txt": "a"}}}},
        "ingest@old": {"datasets.old": {"source": once}},
        "ingest@hub": {"datasets.hub": {"source": hub}},
        "pretrain": {"init_from": weights, "runtime": {"seed": 1}},
    }
    found = Chain(params=params).from_outside()
    files = {(section["package"], section.get("file"), section["sha256"]) for section in found if section != hub}
    assert hub in found
    assert files == {
        ("reviews", "neg.txt", "a"),
        ("reviews", "pos.txt", "b"),
        ("reviews", "all.csv", "d"),
        ("weights", None, "c"),
    }
