"""tokenize_corpus: the corpus as token ids, packed into full sequences without padding, or sentence by sentence."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from pipeline.files import InputError, replacing, write_json
from pipeline.params import Params
from pipeline.stages.command import main
from pipeline.tokenization.encoding import encode_by_batch, encode_documents, encode_sentences
from pipeline.tokenization.folder import load_tokenizer, read_max_length, special_ids
from pipeline.tokenization.growing import growing_array
from pipeline.tokenization.packing import pack_pairs, packed
from pipeline.tokenization.ragged import TokenRows, smallest_dtype
from pipeline.tokenization.shards import MANIFEST, growing_shards
from pipeline.tokenization.table import read_pairs, read_texts, text_batches, written_batches
from pipeline.tokenization.transfer import count_words, split_sentences

MIN_WORDS = 3  # of a sentence: shorter ones are cries and the dots of abbreviations
SPLITS = {"train": "", "dev": "dev_"}  # and the prefix of their files


def run(params: Params, *, corpus: Path, tokenizer: Path, out: Path) -> None:
    """Pack train and dev of `corpus`, or pad their sentences; write memory-mappable arrays and meta.json to `out`."""
    length, limit = params.corpus.sequence_length, read_max_length(tokenizer)
    if length > limit:
        raise InputError(f"corpus.sequence_length: {length}, expected at most {limit}, the tokenizer's limit")
    encoder, special_tokens = load_tokenizer(tokenizer)
    ids = special_ids(encoder, special_tokens)
    counts: dict[str, dict[str, int]] = {}
    with replacing(out) as draft:
        draft.mkdir()
        for split, prefix in SPLITS.items():
            write = WRITING.get(params.pretrain.objective, _write_stream)
            counts[split] = write(params, encoder, ids, corpus / f"{split}.parquet", f"{draft}/{prefix}")
        sizes = {"vocabulary_size": encoder.get_vocab_size(), "sequence_length": length}
        write_json(draft / "meta.json", sizes | ids | counts)
    print(
        f"tokenize_corpus  {counts['train']['tokens']:,} tokens in {counts['train']['sequences']:,} sequences "
        f"of {length}, {counts['dev']['sequences']:,} more for dev",
        flush=True,
    )


def _write_stream(params: Params, encoder: Tokenizer, ids: dict[str, int], table: Path, out: str) -> dict[str, int]:
    """Write the documents of a table after one another as full sequences, a piece at a time."""
    length, frame = params.corpus.sequence_length, params.pretrain.objective != "causal_lm"
    found = {"documents": 0, "tokens": 0, "sequences": 0}

    def counted() -> Iterator[TokenRows]:
        for documents in encode_by_batch(encoder, written_batches(table), engine=params.engine):
            found["documents"] += len(documents)
            found["tokens"] += len(documents.ids)
            yield documents

    dtype, shards = smallest_dtype(encoder.get_vocab_size()), params.corpus.shards
    if shards is None or table.stem != "train":  # of dev training reads a few rows
        growing = growing_array(Path(f"{out}input_ids.npy"), (length,), dtype)
    else:
        growing = growing_shards(Path(f"{out}{MANIFEST}"), (length,), dtype, **shards.model_dump())
    with growing as append:
        for sequences in packed(counted(), length, ids["sep_token_id"], ids["cls_token_id"] if frame else None):
            found["sequences"] = append(sequences)
    if not found["sequences"]:
        raise InputError(
            f"{table}: {found['tokens']} tokens, expected enough for one sequence of corpus.sequence_length {length}"
        )
    return found


def _write_pairs(params: Params, encoder: Tokenizer, ids: dict[str, int], table: Path, out: str) -> dict[str, int]:
    """Write pairs of segments; a random one may be of any document, so all of them are in memory."""
    documents = encode_documents(encoder, written_batches(table))
    length, cls, sep = params.corpus.sequence_length, ids["cls_token_id"], ids["sep_token_id"]
    try:
        pairs = pack_pairs(documents, length, cls, sep, params.runtime.seed)
    except ValueError as error:
        raise InputError(f"{table}: {error}, expected two or more for pairs of segments") from None
    _save(f"{out}input_ids.npy", pairs.input_ids)
    _save(f"{out}token_type_ids.npy", pairs.token_type_ids)
    _save(f"{out}next_sentence_labels.npy", pairs.labels)
    return {"documents": len(documents), "tokens": len(documents.ids), "sequences": len(pairs.labels)}


def _write_sentences(params: Params, encoder: Tokenizer, ids: dict[str, int], table: Path, out: str) -> dict[str, int]:
    """Write distinct sentences, cut and padded; to know whether one was there before, all of them are in memory."""
    rows = _sentences(table)
    input_ids, tokens = encode_sentences(encoder, rows, params.corpus.sequence_length, ids["pad_token_id"])
    _save(f"{out}input_ids.npy", input_ids)
    return {"documents": len(rows), "tokens": tokens, "sequences": len(input_ids)}


WRITING = {"masked_lm_next_sentence": _write_pairs, "contrastive": _write_sentences}  # by objective; others: a stream


def _save(path: str, array: np.ndarray) -> None:
    np.save(path, array, allow_pickle=False)


def _sentences(table: Path) -> list[tuple[str, ...]]:
    """Return the distinct sentences of a table's texts in their order, or its rows where they are pairs of texts."""
    pairs = read_pairs(table)
    if pairs is not None:
        return [*dict.fromkeys(zip(read_texts(table), pairs, strict=True))]
    sentences = (sentence for batch in text_batches(table) for text in batch for sentence in split_sentences(text))
    found = dict.fromkeys((sentence,) for sentence in sentences if count_words(sentence) >= MIN_WORDS)
    if not found:
        raise InputError(f"{table}: no sentence of {MIN_WORDS} words, expected some")
    return [*found]


if __name__ == "__main__":
    main(run)
