"""Where rows come from: files of an installed package, of the project or of a shared storage, the hub."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.section import HubName, InsidePath, Label, Package, Revision, Section, Sha256, StorageUrl

Format = Literal[
    "csv", "tsv", "jsonl", "parquet", "text", "conll", "slots", "squad", "aligned", "document", "conversations"
]
ROWS_BY_THEMSELVES = ("csv", "tsv", "jsonl", "parquet", "text")  # formats of which a part of the files has whole rows
OF_THE_PROJECT = ("aligned", "document")  # formats that a source of kind `file` alone can say enough of
MORE_FIELDS = "..."


class _FileSource(Section):
    """What packages, the project and a storage have in common."""

    kind: Literal["package", "file", "storage"]
    format: Format
    """Format of the files. In `csv` quotes are those of RFC 4180, in `tsv` a quote is a character like any other.
    `text`: one row a line, with the columns `text` and `file`, the file's name. `conll`: a token and its BIO tag on
    each line, an empty line between rows, with the columns `text` and `spans`. `slots`: the same with the row's label
    alone on its last line, column `label`. `squad`: the JSON of SQuAD, 1.1 or 2.0, with the columns `context`,
    `question`, `answers` (spans of the context, of type `answer`: a question's first answer, or none) and `title`.
    `aligned`: two files for each split, of which line i of the first is the column `text` and line i of the second
    `target`. `document`: running text, of which each row is a piece of whole lines, with the columns `text` and `file`;
    its beginning is dev, its end test. `conversations`: the JSON of the package `chitchat-dataset`, with the
    column `text`, a conversation with each turn on a line of its own. All but `parquet` may be gzipped (`.gz`)."""


class PackageSource(_FileSource):
    """Files inside an installed Python package."""

    kind: Literal["package"]
    package: Package
    """Name of the package, as pip installs it."""
    files: Annotated[dict[InsidePath, Sha256], Field(min_length=1)]
    """The files, each with its SHA-256, any other content is refused; paths are relative to the folder that packages
    are installed in."""

    @model_validator(mode="after")
    def _format_of_packages(self) -> "PackageSource":
        if self.format in OF_THE_PROJECT:
            raise ValueError(f"format must be none of {' and '.join(OF_THE_PROJECT)} in a package, got {self.format}")
        return self


class FilesParams(Section):
    """For kind `file`: the files of the folder at the dataset's `path`; null where that is itself the only file."""

    train: Annotated[list[InsidePath], Field(min_length=1)]
    """Files whose rows are split by the shares of `split`."""
    dev: list[InsidePath]
    """Files whose rows are dev rows as they are."""
    test: list[InsidePath]
    """Files whose rows are test rows as they are."""

    @model_validator(mode="after")
    def _each_once(self) -> "FilesParams":
        names = [*self.train, *self.dev, *self.test]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"each file must be given once, got {name} {names.count(name)} times")
        return self


class LocalSource(_FileSource):
    """A file of the project under `data/raw/`, the dataset's `path`, or several in a folder there."""

    kind: Literal["file"]
    header: Annotated[list[Label], Field(min_length=1)] | None
    """Names of the columns of CSV or TSV files that have no header line; null where they have one. `...` as the last
    name stands for whatever further fields a row has, which are not read."""
    piece_characters: Annotated[int, Field(ge=1)] | None = None
    """Length in characters that the rows of format `document` may have, line breaks counted; a longer line is a row by
    itself. Null for other formats."""
    files: FilesParams | None
    origin: Label | None
    """Where people get the files and what their licence is, said where they are missing; null says nothing."""

    @model_validator(mode="after")
    def _only_csv_and_tsv_have_a_header(self) -> "LocalSource":
        if self.header is not None and self.format not in ("csv", "tsv"):
            raise ValueError(f"header must be null for format {self.format}, got {self.header}")
        return self

    @model_validator(mode="after")
    def _only_documents_have_pieces(self) -> "LocalSource":
        if (self.piece_characters is None) == (self.format == "document"):
            needed = "given" if self.format == "document" else "null"
            raise ValueError(f"piece_characters must be {needed} for format {self.format}, got {self.piece_characters}")
        return self

    @model_validator(mode="after")
    def _aligned_files_are_two(self) -> "LocalSource":
        if self.format == "aligned":
            if self.files is None:
                raise ValueError("files must be given for format aligned, got null")
            for split, names in self.files:
                if len(names) != 2 and (names or split == "train"):
                    raise ValueError(f"files.{split} must name two files for format aligned, got {names}")
        return self

    def files_at(self, path: Path) -> dict[str, list[Path]]:
        """Return the files by split where the dataset's path is `path`; the rows of `train` are those to be split."""
        if self.files is None:
            return {"train": [path]}
        return {split: [path / name for name in names] for split, names in self.files}


class StorageSource(_FileSource):
    """Files of a shared storage, each fetched when its rows are read; the dataset's `path` is their list, as
    `sha256sum` writes it."""

    kind: Literal["storage"]
    url: StorageUrl
    """Folder that the names in the list start from. Who may read it, and where an S3 answers, say the environment's
    `AWS_` variables."""

    @model_validator(mode="after")
    def _format_of_rows(self) -> "StorageSource":
        if self.format not in ROWS_BY_THEMSELVES:
            raise ValueError(f"format must be one of {', '.join(ROWS_BY_THEMSELVES)} on a storage, got {self.format}")
        return self


class HubSource(Section):
    """A dataset on the Hugging Face hub at a pinned revision."""

    kind: Literal["hub"]
    name: HubName
    """Name of the dataset on the hub, such as `owner/name`."""
    configuration: str | None
    """Configuration (subset) of the dataset; null takes its default."""
    split: str
    """Which split of the hub's dataset to read; its rows are split anew here."""
    revision: Revision
    """Commit hash of the version to read."""
