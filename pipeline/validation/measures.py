"""What the suites judge: a few numbers for each row, computed batch by batch so that no split's text is held whole."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import SPLITS, compared
from pipeline.validation.characters import letters_and_visible
from pipeline.validation.reading import BATCH_ROWS, Part, held_out_texts, read_batches, read_parts

if TYPE_CHECKING:
    import pandas as pd

# U+FFFD, a byte order mark inside the text, control characters other than tab and line ends, and UTF-8 that was read
# as Latin-1 or Windows-1252: a lead byte's character before one that a continuation byte turns into. Quotes, dashes
# and dots after a capital are natural text, so they do not count as continuations.
DAMAGE = (
    r"\x{FFFD}|\x{FEFF}|â€|ðŸ|ï»¿|ï¿½"
    r"|[ÂÃÐÑ][\x{80}-\x{BA}\x{BC}-\x{BF}€‚ƒ„†‡ˆ‰Š‹ŒŽ•˜™š›œžŸ]"
    r"|[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x{9F}]"
)
# elements of HTML only: `<sigh>` and `<3` are words of their writers
MARKUP = (
    r"(?i)<!--|<!doctype|</?(?:a|abbr|article|audio|b|big|blockquote|body|br|button|center|cite|code|dd|del|div|dl|dt|em"
    r"|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|li|link|mark|meta|nav|noscript|object|ol|option"
    r"|p|pre|q|s|script|section|select|small|span|strike|strong|style|sub|sup|svg|table|tbody|td|textarea|tfoot|th|thead"
    r"|title|tr|tt|u|ul|video)(?:\s[^<>]*)?/?>"
    r"|&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});"
)

MEASURES = pa.schema(
    {
        "id": pa.string(),
        "split": pa.string(),
        "label": pa.string(),
        "characters": pa.int64(),
        "damaged_share": pa.float64(),
        "markup": pa.int64(),
        "letter_share": pa.float64(),
        "score": pa.float64(),
        "overlaps": pa.bool_(),
    }
)
OF_TEXTS = pa.schema([MEASURES.field(name) for name in ("id", "split", "characters", "damaged_share", "markup")])


def measure(rows: Path, held_out: Path) -> "pd.DataFrame":
    """Return what `measure_part` returns, all rows of `rows`/{train,dev,test}.parquet in one table."""
    import pandas as pd

    kept = kept_for_measuring(rows, held_out)
    return pd.concat([measure_part(kept, part)[0] for part in read_parts(rows)], ignore_index=True)


def kept_for_measuring(rows: Path, held_out: Path) -> dict[str, set[bytes]]:
    """Return by split which letters its rows must not have: of a train row those of dev, test and what other datasets
    hold out in the `held_out` list, of a dev row those of test.

    Raises InputError where a file is missing, unreadable or lacks a column.
    """
    test, dev = (_keys_of_split(rows / f"{split}.parquet") for split in ("test", "dev"))
    return {"train": {*_held_out_keys(held_out, rows), *test, *dev}, "dev": test, "test": set()}


def measure_part(kept: Mapping[str, set[bytes]], part: Part) -> tuple["pd.DataFrame", list[str]]:
    """Return one record for each row of a part, and what each is compared by; `kept` is from `kept_for_measuring`.

    id, split, label; characters (white space around the text left out), damaged_share (signs of encoding damage for
    each character), markup (tags and entities), letter_share (letters among the visible characters), all four null
    where the text is blank; score, null where it is no finite number; overlaps: the letters, of text and pair together,
    are among those that are kept.
    """
    split, batches = part
    measured = [_measure_batch(batch, split, kept[split]) for batch in batches]
    texts = [text for batch in batches for text in _compared(batch)]
    return pa.Table.from_batches(measured, MEASURES).to_pandas(), texts


def _keys_of_split(path: Path) -> set[bytes]:
    keys = (key for batch in read_batches(path) for key in _keys(_letters_of_both(batch, _letters(batch["text"]))))
    return {key for key in keys if key is not None}


def _letters_of_both(batch: pa.RecordBatch, of_texts: list[str]) -> list[str]:
    """Return the letters of each row's text, which are given, and pair together."""
    if batch["pair"].null_count == len(batch):
        return of_texts
    return [text + pair for text, pair in zip(of_texts, _letters(batch["pair"]), strict=True)]


def measure_texts(rows: Path, column: str) -> "pd.DataFrame":
    """Return what `measure` finds of texts by themselves for another column of texts: pair or target.

    One record for each row: id, split, characters, damaged_share, markup; the last three null where the text is blank.
    """
    batches = []
    for split in SPLITS:
        for batch in read_batches(rows / f"{split}.parquet"):
            _, visible = _letters_and_visible(batch[column])
            found = _of_texts(batch[column], visible)
            batches.append(_select({"id": batch["id"], "split": pa.array([split] * len(batch)), **found}, OF_TEXTS))
    return pa.Table.from_batches(batches, OF_TEXTS).to_pandas()


def measure_label_sets(rows: Path) -> "pd.DataFrame":
    """Return one record for each label of each row of `rows`/{train,dev,test}.parquet: id, split, label.

    A row without labels has none, one whose labels are null has one with a null label.
    """
    import pandas as pd

    records = (
        (id_, split, label)
        for split in SPLITS
        for batch in read_batches(rows / f"{split}.parquet")
        for id_, labels in zip(batch["id"].to_pylist(), batch["labels"].to_pylist(), strict=True)
        for label in ([None] if labels is None else labels)
    )
    return pd.DataFrame(records, columns=["id", "split", "label"])


def class_shares(labelled: "pd.DataFrame", labels: list[str], among: int | None = None) -> "pd.DataFrame":
    """Return one record for each of `labels`: label, rows, share (of the rows that carry one of them).

    Where rows may carry several, `labelled` has a record for each label of a row, and `among` is the number of rows.
    """
    import pandas as pd

    rows = labelled["label"].value_counts().reindex(labels, fill_value=0)
    whole = max(rows.sum() if among is None else among, 1)
    return pd.DataFrame({"label": labels, "rows": rows.to_numpy(), "share": rows.to_numpy() / whole})


def read_texts(path: Path) -> list[str]:
    """Return what the rows of a split are compared by, in the order of the file and of `measure`; "" for nothing."""
    return [text for batch in read_batches(path) for text in _compared(batch)]


def _compared(batch: pa.RecordBatch) -> list[str]:
    pairs = zip(batch["text"].to_pylist(), batch["pair"].to_pylist(), strict=True)
    return [compared(text or "", pair) for text, pair in pairs]


def _measure_batch(batch: pa.RecordBatch, split: str, kept_for_measuring: set[bytes]) -> pa.RecordBatch:
    letters, visible = _letters_and_visible(batch["text"])
    keys = _keys(_letters_of_both(batch, letters))
    columns = {
        "id": batch["id"],
        "split": pa.array([split] * len(batch)),
        "label": batch["label"],
        **_of_texts(batch["text"], visible),
        "letter_share": _share(pa.array(map(len, letters), pa.int64()), visible),
        "score": pc.if_else(pc.is_finite(batch["score"]), batch["score"], None),
        "overlaps": pa.array([key in kept_for_measuring for key in keys], pa.bool_()),
    }
    return _select(columns, MEASURES)


def _of_texts(texts: pa.Array, visible: pa.Array) -> dict[str, pa.Array]:
    text = pc.utf8_trim_whitespace(pc.fill_null(texts, ""))
    given = pc.is_valid(visible)
    characters = pc.if_else(given, pc.utf8_length(text), None)
    return {
        "characters": characters,
        "damaged_share": _share(pc.count_substring_regex(text, DAMAGE), characters),
        "markup": pc.if_else(given, pc.count_substring_regex(text, MARKUP), None),
    }


def _letters_and_visible(texts: pa.Array) -> tuple[list[str], pa.Array]:
    """Return the letters of each text, and how many of its characters are visible, null where none is."""
    letters, visible = letters_and_visible(texts.fill_null("").to_pylist())
    return letters, pa.array(visible, mask=visible == 0)


def _letters(texts: pa.Array) -> list[str]:
    return _letters_and_visible(texts)[0]


def _select(columns: dict[str, pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([columns[field.name].cast(field.type) for field in schema], schema=schema)


def _share(part: pa.Array, whole: pa.Array) -> pa.Array:
    return pc.divide(pc.cast(part, pa.float64()), pc.cast(whole, pa.float64()))


def _keys(letters: list[str]) -> list[bytes | None]:
    """Return 16 bytes that stand for the letters of each text, None where there are none."""
    return [hashlib.blake2b(own.encode(), digest_size=16).digest() if own else None for own in letters]


def _held_out_keys(path: Path, rows: Path) -> Iterator[bytes]:
    texts = held_out_texts(path, rows)
    while batch := list(itertools.islice(texts, BATCH_ROWS)):
        yield from (key for key in _keys(_letters(pa.array(batch, pa.string()))) if key is not None)
