"""params.yaml and every recipe are complete, and each mistake is named by its full path."""

import copy
from pathlib import Path
from typing import Any

import pytest

from pipeline.files import InputError
from pipeline.params import check_params, load_params, read_yaml

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "params.yaml", *sorted((ROOT / "recipes").glob("*.yaml"))]
DEFAULT = read_yaml(ROOT / "params.yaml")
SHARDS = {"url": "s3://bucket/folder", "megabytes": 64, "window": 16}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_parameters_are_valid(path: Path) -> None:
    load_params(path)


def changed(key: str, value: Any, given: dict[str, Any] = DEFAULT) -> dict[str, Any]:
    values = copy.deepcopy(given)
    *parents, last = key.split(".")
    section = values
    for parent in parents:
        section = section[parent]
    section[last] = value
    return values


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("tasks.sentiment.distill.temperature", -2, "tasks.sentiment.distill.temperature: must be > 0, got -2"),
        ("tasks.sentiment.distill.temperature", 0, "tasks.sentiment.distill.temperature: must be > 0, got 0"),
        ("runtime.threads", "two", "runtime.threads: must be a valid integer, got 'two'"),
        ("runtime.seed", "17", "runtime.seed: must be a valid integer, got '17'"),
        ("runtime.sede", 1, "runtime.sede: unknown key"),
        ("datasets.imdb.source.files", {"rows.csv": "abc"}, "datasets.imdb.source.files.rows.csv: "),
        ("datasets.imdb.source.files", {}, "datasets.imdb.source.files: "),
        (
            "datasets.imdb.source.files",
            {"../rows.csv": "0" * 64},
            "must be a relative path without .., got",
        ),
        ("datasets.imdb.source.header", ["text"], "datasets.imdb.source.header: unknown key"),
        ("corpus.dataset", "wikipedia", "corpus.dataset: must be one of ['imdb', 'rotten_tomatoes'], got wikipedia"),
        ("tasks.sentiment.labels", ["good", "bad"], "tasks.sentiment.labels: must be the labels of datasets."),
        ("tasks.sentiment.student.architecture.attention_heads", 5, "attention_heads must divide hidden_size"),
        ("tasks.sentiment.finetune.dropout", 0.0, "tasks.sentiment.finetune: dropout must be > 0 when consistency has"),
        ("tasks.sentiment.finetune.teachers", 0, "tasks.sentiment.finetune.teachers: must be >= 1, got 0"),
        ("tokenizer.kind", "bpe", "tokenizer"),
        ("corpus.shards", SHARDS | {"url": "s3://key:secret@bucket/folder"}, "corpus.shards.url: "),
        ("corpus.shards", SHARDS | {"url": "data/shards"}, "corpus.shards.url: "),
        ("corpus.shards", SHARDS | {"window": 0}, "corpus.shards.window: must be >= 1, got 0"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(key: str, value: Any, expected: str) -> None:
    with pytest.raises(InputError) as error:
        check_params(changed(key, value), Path("params.yaml"))
    assert str(error.value).startswith("params.yaml: ")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


GIVEN = {"train": ["a.conll"], "dev": ["b.conll.gz"], "test": []}
LOCAL = {
    "kind": "file",
    "format": "conll",
    "header": None,
    "files": GIVEN,
    "origin": "hub: owner/name (CC0)",
}
SPANS = {
    "datasets.imdb.path": "data/raw/names",
    "datasets.imdb.source": LOCAL,
    "datasets.imdb.columns": {"text": "text", "label": None, "source": None, "spans": "spans"},
    "datasets.imdb.only_sources": None,
    "datasets.imdb.labels": {"per": "person"},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"datasets.imdb.source.format": "slots"}, None),
        ({"datasets.imdb.labels": None}, None),
        ({"datasets.imdb.source.files": None}, None),
        (
            {"datasets.imdb.source.format": "csv"},
            "columns.spans must be null but for the formats conll, slots, squad, got ",
        ),
        (
            {"datasets.imdb.columns.label": "label"},
            "columns.label must be null where columns.spans is given, got label",
        ),
        ({"datasets.imdb.labels": {}}, "labels must name at least 1"),
        ({"datasets.imdb.columns.spans": None}, "labels are given, but columns.label, columns.labels and "),
        ({"datasets.imdb.source.header": ["text"]}, "header must be null for format conll, got ['text']"),
        ({"datasets.imdb.source.files.test": ["a.conll"]}, "each file must be given once, got a.conll 2 times"),
        ({"datasets.imdb.source.files.train": []}, "datasets.imdb.source.files.train: "),
        ({"datasets.imdb.source.files.dev": ["/b"]}, "datasets.imdb.source.files.dev.0: must be a relative path"),
        ({"datasets.imdb.source.origin": ""}, "datasets.imdb.source.origin: "),
    ],
)
def test_files_with_given_splits_and_spans(changes: dict[str, Any], expected: str | None) -> None:
    values = DEFAULT
    for key, value in (SPANS | changes).items():
        values = changed(key, value, values)
    if expected is None:
        check_params(values, Path("params.yaml"))
        return
    with pytest.raises(InputError) as error:
        check_params(values, Path("params.yaml"))
    assert str(error.value).startswith("params.yaml: datasets.imdb") and expected in str(error.value)


def test_a_missing_key_is_named() -> None:
    values = copy.deepcopy(DEFAULT)
    del values["tasks"]["sentiment"]["gate"]["margin"]
    with pytest.raises(InputError, match=r"tasks\.sentiment\.gate\.margin: missing key"):
        check_params(values, Path("params.yaml"))


def test_a_student_wider_than_its_teacher_is_refused() -> None:
    values = read_yaml(ROOT / "recipes" / "sentiment-from-scratch.yaml")
    values["tasks"]["sentiment"]["student"]["architecture"] |= {"hidden_size": 1024, "attention_heads": 8}
    expected = r"student\.architecture\.hidden_size: must be <= \d+, the teacher's, got 1024"
    with pytest.raises(InputError, match=expected):
        check_params(values, Path("params.yaml"))


FROM_NOTHING = read_yaml(ROOT / "recipes" / "sentiment-from-scratch.yaml")
GPT = {
    "tokenizer.kind": "bpe",
    "pretrain.architecture.family": "gpt",
    "pretrain.objective": "causal_lm",
    "pretrain.mask_share": None,
    "pretrain.whole_word_mask": None,
    "pretrain.across_documents": False,
}
ROBERTA = {"tokenizer.kind": "bpe", "pretrain.architecture.family": "roberta"}
TAGGER = {
    "tasks.sentiment.type": "token_classification",
    "tasks.sentiment.gate.metric": "span_f1",
    "tasks.sentiment.evaluate.slices": [],
    "tasks.sentiment.evaluate.identity_groups": [],
}


def from_nothing(changes: dict[str, Any]) -> dict[str, Any]:
    values = FROM_NOTHING
    for key, value in changes.items():
        values = changed(key, value, values)
    return values


@pytest.mark.parametrize("family", [ROBERTA, GPT], ids=["roberta", "gpt"])
@pytest.mark.parametrize("student", ["bert", "roberta", "gpt"])
def test_a_student_may_be_of_another_family(family: dict[str, Any], student: str) -> None:
    changes = family | {"tasks.sentiment.student.architecture.family": student}
    check_params(from_nothing(changes), Path("params.yaml"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            GPT | {"pretrain.architecture.family": "bert"},
            "pretrain.objective: must be masked_lm or masked_lm_next_sentence or contrastive for family bert, got "
            "causal_lm",
        ),
        (
            ROBERTA | {"pretrain.objective": "masked_lm_next_sentence"},
            "pretrain.objective: must be masked_lm or contrastive for family roberta, got masked_lm_next_sentence",
        ),
        (
            {"pretrain.architecture.family": "gpt"},
            "pretrain.objective: must be causal_lm for family gpt, got masked_lm",
        ),
        (GPT | {"tokenizer.kind": "wordpiece"}, "tokenizer.kind: must be bpe for family gpt, got wordpiece"),
        (ROBERTA | {"tokenizer.kind": "wordpiece"}, "tokenizer.kind: must be bpe for family roberta, got wordpiece"),
        (GPT | {"pretrain.mask_share": 0.15}, "pretrain.mask_share: must be null for causal_lm, got 0.15"),
        (GPT | {"pretrain.whole_word_mask": False}, "pretrain.whole_word_mask: must be null for causal_lm, got False"),
        (GPT | {"pretrain.across_documents": None}, "pretrain.across_documents: must be given for causal_lm, got null"),
        ({"pretrain.mask_share": None}, "pretrain.mask_share: must be given for masked_lm, got null"),
        ({"pretrain.whole_word_mask": None}, "pretrain.whole_word_mask: must be given for masked_lm, got null"),
        ({"pretrain.across_documents": True}, "pretrain.across_documents: must be null for masked_lm, got True"),
        (
            ROBERTA | {"tasks.sentiment.student.vocabulary_size": 4000},
            "tasks.sentiment.student.vocabulary_size: must be null (the teacher's tokens) when tokenizer.kind is bpe, "
            "got 4000",
        ),
        (
            TAGGER | {"tasks.sentiment.student.architecture.family": "gpt"},
            "tasks.sentiment.student.architecture.family: must be bert or roberta or modernbert or bilstm "
            "for token_classification, got gpt",
        ),
        (
            GPT | TAGGER,
            "pretrain.architecture.family: must be bert or roberta or modernbert or bilstm for token_classification, "
            "got gpt",
        ),
        (
            {
                "tasks.sentiment.student.architecture.family": "gpt",
                "tasks.sentiment.distill.losses.attentions": 0.5,
                "tasks.sentiment.distill.layer_map": [[1, 1]],
            },
            "tasks.sentiment.distill.losses.attentions: must be 0 where tasks.sentiment.student.architecture.family is "
            "none of bert, roberta, got 0.5",
        ),
    ],
)
def test_what_a_family_cannot_be_is_named_by_its_path(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as error:
        check_params(from_nothing(changes), Path("params.yaml"))
    assert str(error.value) == f"params.yaml: {expected}"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pretrain.embeddings": "random"}, None),
        (GPT | {"pretrain.embeddings": "random"}, None),
        ({}, "pretrain.embeddings: must be random where corpus.shards are given, got cooccurrence"),
        (
            {"pretrain.embeddings": "random", "pretrain.objective": "masked_lm_next_sentence"},
            "pretrain.objective: must be masked_lm or causal_lm or text_infilling or span_corruption where corpus."
            "shards are given, got masked_lm_next_sentence",
        ),
    ],
)
def test_what_needs_the_corpus_whole_is_refused_in_shards(changes: dict[str, Any], expected: str | None) -> None:
    values = from_nothing({"corpus.shards": SHARDS} | changes)
    if expected is None:
        assert check_params(values, Path("params.yaml")).corpus.shards is not None
        return
    with pytest.raises(InputError) as error:
        check_params(values, Path("params.yaml"))
    assert str(error.value) == f"params.yaml: {expected}"


def test_several_teachers_have_no_layers_to_be_compared_with() -> None:
    values = changed("tasks.sentiment.finetune.teachers", 3)
    distill = values["tasks"]["sentiment"]["distill"]
    losses, distill["layer_map"] = distill["losses"], [[2, 6]]
    losses["key_relations"] = 0.0
    check_params(values, Path("params.yaml"))
    losses["hidden_cosines"] = 1.0
    with pytest.raises(
        InputError, match=r"finetune\.teachers: must be 1 when distill\.losses\.hidden_cosines has a weig"
    ):
        check_params(values, Path("params.yaml"))


def test_numbers_are_read_as_dvc_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: 5e-05\nb: 5e-4\n", encoding="utf-8")
    assert read_yaml(path) == {"a": 5e-05, "b": 5e-4}


@pytest.mark.parametrize("text", ["a: [1\n", "- 1\n", "", "a: 1\na: 2\n"])
def test_what_is_no_mapping_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"params\.yaml") as error:
        load_params(path)
    assert "\n" not in str(error.value)


SHAKESPEARE = read_yaml(ROOT / "recipes" / "shakespeare-gpt.yaml")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("finetune.consistency", 1.0, ": finetune.consistency: must be 0 for text_generation, got 1.0"),
        ("finetune.teachers", 2, ": finetune.teachers: must be 1 for text_generation, got 2"),
        ("distill.losses.logits", 0.5, ": distill.losses.logits: must be 0 for text_generation, got 0.5"),
        ("distill.likeliest", None, ": distill.likeliest: must be given for text_generation"),
        ("transfer.recombined", 10, ": transfer.recombined: must be 0 for text_generation, got 10"),
        (
            "transfer.replaced",
            10,
            ".transfer.replaced: must be 0 where pretrain.objective is none of masked_lm, masked_lm_next_sentence, "
            "got 10",
        ),
        ("labels", ["a"], ": labels: must not be given for text_generation"),
        ("generation", None, ": generation: must be given for text_generation"),
        (
            "student.vocabulary_size",
            500,
            ": student.vocabulary_size: must be null (the teacher's tokens) for text_generation, got 500",
        ),
        (
            "generation.max_tokens",
            256,
            ": generation.max_tokens: must be <= 252, max_length less 4 for what is gone on with, got 256",
        ),
        ("gate.metric", "accuracy", ": gate.metric must be one of bits_per_character, perplexity for text_generation"),
        (
            "student.architecture.family",
            "roberta",
            ".student.architecture.family: must be gpt or llama for text_generation, got roberta",
        ),
    ],
)
def test_what_does_not_fit_a_task_that_goes_on_with_texts_is_named(key: str, value: Any, expected: str) -> None:
    with pytest.raises(InputError) as error:
        check_params(changed(f"tasks.shakespeare.{key}", value, SHAKESPEARE), Path("params.yaml"))
    assert f"params.yaml: tasks.shakespeare{expected}" in str(error.value)


def test_only_a_task_that_goes_on_with_texts_keeps_the_likeliest_tokens() -> None:
    with pytest.raises(InputError, match="likeliest: must not be given for text_classification"):
        check_params(changed("tasks.sentiment.distill.likeliest", 8), Path("params.yaml"))


def test_what_is_completed_takes_no_sentences_of_the_corpus() -> None:
    values = changed("tasks.shakespeare.transfer.sentences", 10, SHAKESPEARE)
    check_params(values, Path("params.yaml"))
    with pytest.raises(InputError, match=r"transfer\.sentences: must be 0 where .*columns\.target is given, got 10"):
        check_params(changed("datasets.shakespeare.columns.target", "summary", values), Path("params.yaml"))
