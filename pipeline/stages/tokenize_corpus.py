"""tokenize_corpus: the corpus as token ids, packed into full sequences without padding."""

from pathlib import Path

import numpy as np

from pipeline.files import InputError, replacing, write_json
from pipeline.params import Params
from pipeline.stages.command import main
from pipeline.tokenization.encoding import encode_documents
from pipeline.tokenization.folder import load_tokenizer, read_max_length, special_ids
from pipeline.tokenization.packing import pack_documents, pack_pairs, pack_stream
from pipeline.tokenization.ragged import TokenRows
from pipeline.tokenization.table import written_batches

SPLITS = {"train": "", "dev": "dev_"}  # and the prefix of their files


def run(params: Params, *, corpus: Path, tokenizer: Path, out: Path) -> None:
    """Pack train and dev of `corpus`; write memory-mappable arrays and meta.json to `out`."""
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
            documents = encode_documents(encoder, written_batches(table))
            arrays = _packed(params, documents, ids, table)
            for name, array in arrays.items():
                np.save(draft / f"{prefix}{name}.npy", array, allow_pickle=False)
            sequences = len(arrays["input_ids"])
            counts[split] = {"documents": len(documents), "tokens": len(documents.ids), "sequences": sequences}
        sizes = {"vocabulary_size": encoder.get_vocab_size(), "sequence_length": length}
        write_json(draft / "meta.json", sizes | ids | counts)
    print(
        f"tokenize_corpus  {counts['train']['tokens']:,} tokens in {counts['train']['sequences']:,} sequences "
        f"of {length}, {counts['dev']['sequences']:,} more for dev",
        flush=True,
    )


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
