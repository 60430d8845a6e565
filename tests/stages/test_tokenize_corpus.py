"""tokenize_corpus: packed sequences and pairs hold the documents and nothing else; what is too small is refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.files import InputError, content_hash, read_json
from pipeline.params import Params
from pipeline.tokenization.folder import load_tokenizer
from pipeline.tokenization.ragged import open_array
from tests.stages.tokenization_project import (
    CORPUS,
    TOKENIZER,
    params,
    run_tokenize_corpus,
    run_train_tokenizer,
    texts,
    write_table,
)

pytestmark = pytest.mark.usefixtures("tokenization_project")


def test_the_corpus_is_packed_and_nothing_but_the_tail_is_missing() -> None:
    settings = params()
    run_train_tokenizer(settings)
    out = run_tokenize_corpus(settings)
    first = content_hash(out)
    assert content_hash(run_tokenize_corpus(settings)) == first
    tokenizer, _ = load_tokenizer(TOKENIZER)
    meta = read_json(out / "meta.json")
    cls, sep, pad = (meta[f"{name}_token_id"] for name in ("cls", "sep", "pad"))
    for split, prefix in (("train", ""), ("dev", "dev_")):
        sequences = open_array(out / f"{prefix}input_ids.npy")
        assert isinstance(sequences, np.memmap) and sequences.dtype == np.uint16
        assert sequences.shape == (meta[split]["sequences"], 32)
        assert (sequences[:, 0] == cls).all() and (sequences[:, -1] == sep).all() and not (sequences == pad).any()
        documents = texts(CORPUS / f"{split}.parquet")
        stream = [i for text in documents for i in [*tokenizer.encode(text, add_special_tokens=False).ids, sep]]
        body = sequences[:, 1:-1].ravel().tolist()
        assert body == stream[: len(body)] and len(stream) - len(body) < 30
        assert meta[split]["tokens"] == len(stream) - len(documents)


def test_shards_hold_the_rows_of_one_file_and_leave_a_list_of_them(tmp_path: Path) -> None:
    whole = params()
    run_train_tokenizer(whole)
    expected = np.array(open_array(run_tokenize_corpus(whole) / "input_ids.npy"))
    meta = read_json(Path("tokens/corpus/meta.json"))
    shards = {"url": f"file://{tmp_path}/storage/of/it", "megabytes": 0.001, "window": 2}
    out = run_tokenize_corpus(params(corpus__shards=shards))
    assert {file.name for file in out.iterdir()} == {"dev_input_ids.npy", "meta.json", "shards.json"}
    assert read_json(out / "meta.json") == meta
    names = [shard["sha256"] for shard in read_json(out / "shards.json")["shards"]]
    assert len(names) > 2
    found = [np.load(tmp_path / "storage/of/it" / f"{name}.npy") for name in names]
    assert np.array_equal(np.concatenate(found), expected)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^file:///.*/file/shards/\w+\.npy: .*, expected a storage that answers"):
        run_tokenize_corpus(params(corpus__shards=shards | {"url": f"file://{tmp_path}/file/shards"}))


def test_pairs_come_with_types_and_labels() -> None:
    settings = params(pretrain__objective="masked_lm_next_sentence")
    run_train_tokenizer(settings)
    out = run_tokenize_corpus(settings)
    for prefix in ("", "dev_"):
        ids, types, labels = (
            open_array(out / f"{prefix}{name}.npy") for name in ("input_ids", "token_type_ids", "next_sentence_labels")
        )
        assert ids.shape == types.shape == (len(labels), 32)
        assert labels.sum() == len(labels) // 2


def test_a_causal_corpus_is_full_sequences_without_a_frame() -> None:
    settings = causal()
    run_train_tokenizer(settings)
    out = run_tokenize_corpus(settings)
    tokenizer, _ = load_tokenizer(TOKENIZER)
    meta = read_json(out / "meta.json")
    for split, prefix in (("train", ""), ("dev", "dev_")):
        sequences = open_array(out / f"{prefix}input_ids.npy")
        assert sequences.shape == (meta[split]["sequences"], 32) and not (sequences == meta["cls_token_id"]).any()
        documents = texts(CORPUS / f"{split}.parquet")
        end = meta["sep_token_id"]
        stream = [i for text in documents for i in [*tokenizer.encode(text, add_special_tokens=False).ids, end]]
        body = sequences.ravel().tolist()
        assert body == stream[: len(body)] and len(stream) - len(body) < 32
    write_table(CORPUS / "dev.parquet", ["Bafu."], None)
    with pytest.raises(InputError, match=r"dev\.parquet: \d+ tokens, expected enough for one sequence of corpus\.seq"):
        run_tokenize_corpus(settings)


def test_a_contrastive_corpus_is_its_distinct_sentences() -> None:
    settings = contrastive()
    write_table(CORPUS / "dev.parquet", ["Ba fu co. Ba fu co. Hom!", "Lin mar nes tor? " + "Ge di " * 40 + "."], None)
    run_train_tokenizer(settings)
    out = run_tokenize_corpus(settings)
    tokenizer, _ = load_tokenizer(TOKENIZER)
    rows, pad = open_array(out / "dev_input_ids.npy"), read_json(out / "meta.json")["pad_token_id"]
    assert rows.shape == (3, 1, 32) and rows.dtype == np.uint16  # "Hom!" is too short for a sentence
    assert rows[0, 0][rows[0, 0] != pad].tolist() == tokenizer.encode("Ba fu co.").ids
    assert rows[1, 0][rows[1, 0] != pad].tolist() == tokenizer.encode("Lin mar nes tor?").ids
    assert (rows[2] != pad).all() and rows[2, 0, -1] == read_json(out / "meta.json")["sep_token_id"]  # cut, and framed
    write_table(CORPUS / "dev.parquet", ["Hom!"], None)
    with pytest.raises(InputError, match=r"dev\.parquet: no sentence of 3 words, expected some"):
        run_tokenize_corpus(settings)


def test_rows_of_a_corpus_of_pairs_stay_together() -> None:
    settings = contrastive()
    run_train_tokenizer(settings)
    for split in ("train", "dev"):
        table = pq.read_table(CORPUS / f"{split}.parquet")
        pairs = pa.array([f"{text} Ba." for text in table["text"].to_pylist()])
        pq.write_table(table.set_column(table.column_names.index("pair"), "pair", pairs), CORPUS / f"{split}.parquet")
    rows = open_array(run_tokenize_corpus(settings) / "input_ids.npy")
    assert rows.shape == (40, 2, 32)


def contrastive() -> Params:
    """Return the parameters of contrastive learning without masked LM."""
    given = params()
    assert given.pretrain.architecture is not None
    return params(
        pretrain__architecture=given.pretrain.architecture.model_dump() | {"dropout": 0.1},
        pretrain__objective="contrastive",
        pretrain__mask_share=None,
        pretrain__whole_word_mask=None,
        pretrain__contrastive={"temperature": 0.05, "pooling": "cls", "masked_lm": 0.0},
    )


def causal() -> Params:
    """Return the parameters of a GPT over byte-level BPE."""
    given = params()
    shape = given.pretrain.architecture
    assert shape is not None
    return params(
        tokenizer__kind="bpe",
        tokenizer__vocabulary_size=300,
        tasks__sentiment__student__vocabulary_size=None,
        pretrain__architecture=shape.model_dump() | {"family": "gpt"},
        pretrain__objective="causal_lm",
        pretrain__mask_share=None,
        pretrain__whole_word_mask=None,
        pretrain__across_documents=False,
    )


def test_a_corpus_too_small_for_one_sequence_is_refused() -> None:
    settings = params()
    run_train_tokenizer(settings)
    write_table(CORPUS / "dev.parquet", ["Bafu."], None)
    with pytest.raises(InputError, match=r"dev\.parquet: \d+ tokens, expected enough for one sequence of corpus\.seq"):
        run_tokenize_corpus(settings)
    with pytest.raises(InputError, match=r"dev\.parquet: fewer than two documents have 29 tokens"):
        run_tokenize_corpus(params(pretrain__objective="masked_lm_next_sentence"))
    with pytest.raises(InputError, match=r"^corpus\.sequence_length: 65, expected at most 64"):
        run_tokenize_corpus(params(corpus__sequence_length=65))
    assert not Path("tokens/corpus").exists()
