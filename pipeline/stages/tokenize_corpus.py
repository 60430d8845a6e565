"""tokenize_corpus: the corpus as token ids, packed into full sequences without padding, or sentence by sentence."""

from pathlib import Path

import numpy as np

from pipeline.files import InputError, replacing, write_json
from pipeline.params import Params
from pipeline.stages.command import main
from pipeline.tokenization.encoding import encode_documents, encode_sentences
from pipeline.tokenization.folder import load_tokenizer, read_max_length, special_ids
from pipeline.tokenization.packing import pack_documents, pack_pairs, pack_stream
from pipeline.tokenization.ragged import TokenRows
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
            table = corpus / f"{split}.parquet"
            if params.pretrain.objective == "contrastive":
                rows = _sentences(table)
                input_ids, tokens = encode_sentences(encoder, rows, length, ids["pad_token_id"])
                arrays, found = {"input_ids": input_ids}, {"documents": len(rows), "tokens": tokens}
            else:
                documents = encode_documents(encoder, written_batches(table))
                arrays = _packed(params, documents, ids, table)
                found = {"documents": len(documents), "tokens": len(documents.ids)}
            for name, array in arrays.items():
                np.save(draft / f"{prefix}{name}.npy", array, allow_pickle=False)
            counts[split] = found | {"sequences": len(arrays["input_ids"])}
        sizes = {"vocabulary_size": encoder.get_vocab_size(), "sequence_length": length}
        write_json(draft / "meta.json", sizes | ids | counts)
    print(
        f"tokenize_corpus  {counts['train']['tokens']:,} tokens in {counts['train']['sequences']:,} sequences "
        f"of {length}, {counts['dev']['sequences']:,} more for dev",
        flush=True,
    )


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


def _packed(params: Params, documents: TokenRows, ids: dict[str, int], table: Path) -> dict[str, np.ndarray]:
    length, cls, sep = params.corpus.sequence_length, ids["cls_token_id"], ids["sep_token_id"]
    if params.pretrain.objective == "masked_lm_next_sentence":
        try:
            pairs = pack_pairs(documents, length, cls, sep, params.runtime.seed)
        except ValueError as error:
            raise InputError(f"{table}: {error}, expected two or more for pairs of segments") from None
        return {
            "input_ids": pairs.input_ids,
            "token_type_ids": pairs.token_type_ids,
            "next_sentence_labels": pairs.labels,
        }
    if params.pretrain.objective == "causal_lm":
        sequences = pack_documents(documents, length, sep)
    else:
        sequences = pack_stream(documents, length, cls, sep)
    if not len(sequences):
        raise InputError(
            f"{table}: {len(documents.ids)} tokens, expected enough for one sequence of corpus.sequence_length {length}"
        )
    return {"input_ids": sequences}


if __name__ == "__main__":
    main(run)
