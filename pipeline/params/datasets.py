"""The sections of `datasets`: where rows come from, how they are split, decontaminated and checked."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.section import (
    HubName,
    InsidePath,
    Label,
    Name,
    Package,
    ProjectPath,
    Revision,
    Section,
    Sha256,
    Share,
)


class PackageSource(Section):
    """A file inside an installed Python package."""

    kind: Literal["package"]
    package: Package
    """Name of the package, as pip installs it."""
    file: InsidePath
    """Path of the file, relative to the folder that packages are installed in."""
    format: Literal["csv", "tsv", "jsonl", "parquet", "text"]
    """Format of the file; `text` is plain text with one row a line, in a column called `text`."""
    sha256: Sha256
    """SHA-256 of the file; any other content is refused."""


class LocalSource(Section):
    """A file of the project under `data/raw/`, the dataset's `path`."""

    kind: Literal["file"]
    format: Literal["csv", "tsv", "jsonl", "parquet", "text"]
    """Format of the file; `text` is plain text with one row a line, in a column called `text`."""


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


class ColumnsParams(Section):
    """Which columns of the source hold what."""

    text: str
    """Column that holds the text."""
    label: str | None
    """Column that holds the label; null where there is none or none is needed."""
    source: str | None
    """Column that says where each row comes from; null where there is none."""


class SplitParams(Section):
    """Shares of the rows that go to dev and test; the rest is train.

    A row's split follows from a hash of its text, so the shares are met approximately and no row ever moves.
    """

    dev: Share
    """Share of the rows in the dev split, by which the best weights of a training run are chosen."""
    test: Share
    """Share of the rows in the test split, which only the final evaluation reads."""

    @model_validator(mode="after")
    def _train_is_left(self) -> "SplitParams":
        if self.dev + self.test >= 1:
            raise ValueError(f"dev + test must leave rows for train, got {self.dev} + {self.test}")
        return self


class DecontaminationParams(Section):
    """When a row overlaps with a held-out one and is removed: one contains the other, or both are nearly the same."""

    min_letters: Annotated[int, Field(ge=8)]
    """Minimum number of letters for a text to count as contained in another; shorter ones may be so by chance."""
    similarity: Annotated[float, Field(gt=0, le=1)]
    """Jaccard similarity of their shingles from which two texts are near-duplicates."""
    shingle_words: Annotated[int, Field(ge=1)]
    """Length of a shingle in words; texts are compared by the shingles they share."""
    permutations: Annotated[int, Field(ge=16, le=512)]
    """Number of MinHash permutations in the search for near-duplicates; more miss fewer of them but take longer."""


class ValidationParams(Section):
    """The checks of a dataset, and what happens to the rows that fail them."""

    policy: Literal["fail", "quarantine"]
    """What happens when rows fail a check: `fail` stops the run, `quarantine` sets the rows aside."""
    max_quarantined_share: Share
    """Maximum share of all rows that may be set aside; more of them stop the run."""
    min_characters: Annotated[int, Field(ge=1)]
    """Minimum length of a text in characters."""
    max_characters: Annotated[int, Field(ge=1)]
    """Maximum length of a text in characters."""
    min_label_share: Share
    """Minimum share of the rows for every label; a rarer label stops the run, whatever the policy."""
    max_damaged_share: Share
    """Maximum share of a text's characters that may be traces of a broken encoding."""
    min_letter_share: Share
    """Minimum share of letters among a text's visible characters."""
    max_label_noise: Share
    """Maximum share, beyond chance, of labels that look wrong to a simple model where it is surest; more raise a flag.
    A flag stops the run under the policy `fail` only."""
    max_drift: Share
    """Maximum distance, beyond chance, of the words, lengths and labels of dev and test from those of train, between 0
    (the same) and 1 (nothing in common); more raises a flag."""


class DatasetParams(Section):
    """One source of rows: read, cleaned, split, decontaminated, checked."""

    path: ProjectPath
    """What DVC watches for changes: the data file itself for a source of kind `file`, else `constraints.txt`."""
    held_out: Name
    """Dataset whose dev and test texts, and those that it holds out itself, must not be trained on here; or `none`."""
    source: Annotated[PackageSource | LocalSource | HubSource, Field(discriminator="kind")]
    """Where the rows come from."""
    columns: ColumnsParams
    only_sources: list[str] | None
    """Values of the source column whose rows are kept; null keeps all rows."""
    labels: dict[str, Label] | None
    """The label's name for each value of the label column; null makes the dataset unlabelled."""
    split: SplitParams
    decontamination: DecontaminationParams
    validation: ValidationParams
    max_rows: Annotated[int, Field(ge=1)] | None
    """Maximum number of rows to keep, a sample that does not depend on their order; null keeps all rows."""

    @model_validator(mode="after")
    def _labels_have_a_column(self) -> "DatasetParams":
        if self.labels is not None and self.columns.label is None:
            raise ValueError("labels are given, but columns.label is null")
        if self.labels is not None and len(set(self.labels.values())) < 2:
            raise ValueError(f"labels must name at least 2 classes, got {sorted(set(self.labels.values()))}")
        return self
