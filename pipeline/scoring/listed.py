"""`stillhouse score` over files of a shared storage: each is fetched, answered and written back before the next one."""

import json
import shutil
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from pipeline.files import InputError, read_json, replacing, sha256_of_file, write_json, write_text
from pipeline.params.section import StorageUrl
from pipeline.scoring.batch import Scored, place_of_rows_set_aside
from pipeline.scoring.scorer import Scorer, leave_set_aside
from pipeline.scoring.summary import Tally
from pipeline.scoring.tables import FORMATS, open_table
from pipeline.sources.listed import read_list
from pipeline.storage import Storage
from pipeline.training.checkpoints import work_folder

LIST = ".sha256"  # the suffix that tells a list of files from a file of rows


def score_listed(scorer: Scorer, source: Path, out: Path, *, source_url: str, out_url: str) -> Scored:
    """Answer the rows of every file that the list `source` names, below `source_url`.

    Each is written below `out_url` under the same name, and at the end `out` lists them, as `sha256sum` does. The disk
    holds one file and its answers at a time. Rows that cannot be answered go to `NAME.set_aside.jsonl` beside `out`,
    each with its file. A run that was killed goes on in the file where it stopped.
    Raises InputError where the model, a file or a column is not there, or a file is not the one that is listed.
    """
    aside = place_of_rows_set_aside(source, out)
    files = read_list(source)
    _check(files, source, source_url, out_url)
    read, written = Storage(source_url, "--source-url"), Storage(out_url, "--out-url")
    with work_folder(f"score@{scorer.task}", scorer.identity(source) | {"urls": [source_url, out_url]}) as folder:
        done = [folder / f"{number:06d}.json" for number in range(1, len(files) + 1)]
        for (name, sha256), kept in zip(files.items(), done, strict=True):
            if not kept.exists():
                said = f"score {scorer.task} {int(kept.stem)}/{len(files)}"
                write_json(kept, _answer(scorer, said, read, written, name, sha256, kept.with_suffix("")))
                shutil.rmtree(kept.with_suffix(""))
        found = [read_json(kept) for kept in done]
        tally = sum((Tally.from_json(file["tally"]) for file in found), start=Tally())
        leave_set_aside([_aside(kept.with_suffix("")) for kept in done], tally, aside)
        write_text(out, "".join(f"{file['sha256']}  {name}\n" for name, file in zip(files, found, strict=True)))
        return Scored(scorer.name, tally, aside, scorer.record(source, out, tally))


def _check(files: dict[str, str], source: Path, source_url: str, out_url: str) -> None:
    for number, name in enumerate(files, start=1):
        if PurePosixPath(name).suffix not in FORMATS:
            raise InputError(f"{source}: line {number}: {name}, expected a file that ends in {', '.join(FORMATS)}")
    for option, url in (("--source-url", source_url), ("--out-url", out_url)):
        try:
            TypeAdapter(StorageUrl).validate_python(url)
        except ValidationError:
            raise InputError(f"{option}: {url}, expected s3://BUCKET/FOLDER or file:///FOLDER") from None
    if source_url == out_url:
        raise InputError(f"--out-url: {out_url} is where the input lies, expected another folder")


def _answer(
    scorer: Scorer, said: str, read: Storage, written: Storage, name: str, sha256: str, folder: Path
) -> dict[str, object]:
    """Answer a file of the storage; return the hash of what was written in its place, and what was counted."""
    folder.mkdir(exist_ok=True)
    fetched, answered = folder / f"input{PurePosixPath(name).suffix}", folder / f"output{PurePosixPath(name).suffix}"
    read.fetch(name, fetched, sha256)
    try:
        with replacing(answered) as draft:
            tally, parts = scorer.answer(open_table(fetched, scorer.columns), said, folder, draft)
    except InputError as error:
        raise InputError(str(error).replace(str(fetched), read.place(name))) from None
    with replacing(_aside(folder)) as draft, open(draft, "w", encoding="utf-8") as file:
        for part in parts:
            with open(part, encoding="utf-8") as rows:
                file.writelines(json.dumps({"file": name} | json.loads(row), ensure_ascii=False) + "\n" for row in rows)
    with open(answered, "rb") as content:
        written.send(name, content)
    return {"sha256": sha256_of_file(answered), "tally": tally.as_json()}


def _aside(folder: Path) -> Path:
    return folder.with_suffix(".jsonl")
