"""The sections of `datasets`: what rows hold, how they are split, decontaminated and checked."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.evaluation import GROUPINGS
from pipeline.params.section import Label, Marker, Name, ProjectPath, Section, Sha256, Share
from pipeline.params.sources import HubSource, LocalSource, PackageSource, StorageSource

WITH_SPANS = ("conll", "slots", "squad")  # formats


class ColumnsParams(Section):
    """Which columns of the source hold what. Only `text` must be given here: what is not named is not there."""

    text: str
    """Column that holds the text."""
    pair: str | None = None
    """Column that holds a second text, about the first: a question that it answers, a sentence it is compared with."""
    label: str | None = None
    """Column that holds the label."""
    labels: str | None = None
    """Column that holds any number of labels, none included: a list of them, in CSV as JSON, or text in which `|`
    stands between them. Empty text and `[]` are rows without labels."""
    spans: str | None = None
    """Column that holds labelled spans of the text, which the formats `conll`, `slots` and `squad` have."""
    target: str | None = None
    """Column that holds the text to be written: a translation, a summary, a reply."""
    score: str | None = None
    """Column that holds a number, such as how much alike text and pair are."""
    group: str | None = None
    """Column whose equal values keep their rows in one split, such as the article that a passage is from."""
    source: str | None = None
    """Column that says where each row comes from."""
    metadata: list[Label] = Field(default_factory=list)
    """Further columns that rows keep, for `tasks.T.evaluate.slices` and `tasks.T.mitigation.reweight_by_column`."""

    @model_validator(mode="after")
    def _metadata_have_names_of_their_own(self) -> "ColumnsParams":
        for column in self.metadata:
            if column in GROUPINGS:
                raise ValueError(f"metadata must not name {', '.join(GROUPINGS)}, groupings of rows, got {column}")
            if self.metadata.count(column) > 1:
                raise ValueError(f"metadata must name each column once, got {column} more than once")
        return self

    @property
    def named(self) -> list[tuple[str, str]]:
        """Each column that is named, with the key that names it."""
        single = [(key, column) for key, column in self if isinstance(column, str)]
        return single + [("metadata", column) for column in self.metadata]


class CounterExamplesParams(Section):
    """Annotated rows of one's own, such as counter-examples to a bias: training rows, none of dev or test. By default
    there are none."""

    file: ProjectPath
    """CSV file of the project with the columns that `columns` names, but for `source`, which is `counter_examples`."""
    sha256: Sha256
    """The file's SHA-256; any other content is refused."""


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
    """What DVC watches for changes: the data file or the folder of `files` for a source of kind `file`, the list of
    files for kind `storage`, else `constraints.txt`."""
    held_out: Name
    """Dataset whose dev and test texts, and those that it holds out itself, must not be trained on here; or `none`."""
    source: Annotated[PackageSource | LocalSource | StorageSource | HubSource, Field(discriminator="kind")]
    """Where the rows come from."""
    columns: ColumnsParams
    line_breaks: Literal["keep", "space"]
    """What becomes of the line breaks inside a text, pair or target: `keep` leaves each line on its own and at most one
    empty line between two, `space` makes them spaces."""
    only_sources: list[str] | None
    """Values of the source column whose rows are kept; null keeps all rows."""
    labels: dict[str, Label] | None
    """The label's name for each value of the label column, for each that stands in the lists of `columns.labels`, or
    for each type of spans where `columns.spans` is given; null makes the dataset unlabelled."""
    split: SplitParams
    decontamination: DecontaminationParams
    validation: ValidationParams
    max_rows: Annotated[int, Field(ge=1)] | None
    """Maximum number of rows to keep, a sample that does not depend on their order; null keeps all rows."""
    markers: list[Marker] = Field(default_factory=list)
    """Markers of `tokenizer.markers` that stand in every text, each exactly once: a row that lacks one, or has one
    twice, stops the run."""

    counter_examples: CounterExamplesParams | None = None

    @model_validator(mode="after")
    def _counter_examples_fit_into_csv(self) -> "DatasetParams":
        if self.counter_examples is not None and (self.columns.spans is not None or self.is_document):
            raise ValueError("counter_examples must be null where columns.spans or running text are read, got a file")
        return self

    @model_validator(mode="after")
    def _labels_have_a_column(self) -> "DatasetParams":
        spans = self.columns.spans
        labelled = [key for key in ("label", "labels", "spans") if getattr(self.columns, key) is not None]
        if len(labelled) > 1:
            key, other, *_ = labelled
            found = getattr(self.columns, key)
            raise ValueError(f"columns.{key} must be null where columns.{other} is given, got {found}: labels name one")
        if spans is not None and (self.source.kind == "hub" or self.source.format not in WITH_SPANS):
            raise ValueError(f"columns.spans must be null but for the formats {', '.join(WITH_SPANS)}, got {spans}")
        for key in ("score", "target"):
            if self.labels is not None and getattr(self.columns, key) is not None:
                raise ValueError(f"labels must be null where columns.{key} is given, got {self.labels}")
        if self.labels is not None and not labelled:
            raise ValueError("labels are given, but columns.label, columns.labels and columns.spans are null")
        least = 1 if labelled == ["spans"] else 2
        if self.labels is not None and len(names := self._label_names()) < least:
            raise ValueError(f"labels must name at least {least} classes, got {names}")
        return self

    @property
    def row_labels(self) -> list[str]:
        """Names of the labels of which each row carries one, sorted; none where rows do not."""
        return self._label_names() if self.columns.label is not None else []

    @property
    def set_labels(self) -> list[str]:
        """Names of the labels of which a row may carry any number, sorted; none where rows do not."""
        return self._label_names() if self.columns.labels is not None else []

    @property
    def span_labels(self) -> list[str]:
        """Names of the labels that spans carry, sorted; none where rows have no spans."""
        return self._label_names() if self.columns.spans is not None else []

    @property
    def is_raw(self) -> bool:
        """Whether the rows are text alone, without an answer that a task could learn."""
        return self.labels is None and self.columns.target is None and self.columns.score is None

    @property
    def is_document(self) -> bool:
        """Whether the rows are consecutive pieces of a text, whose place in it decides their split."""
        return isinstance(self.source, LocalSource) and self.source.format == "document"

    @property
    def given_splits(self) -> list[str]:
        """The splits that rows of the source belong to as they are: of dev and test those that have files."""
        files = self.source.files if isinstance(self.source, LocalSource) else None
        return [split for split in ("dev", "test") if files and getattr(files, split)]

    def _label_names(self) -> list[str]:
        return sorted(set((self.labels or {}).values()))
