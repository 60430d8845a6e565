"""tokenize: rows and transfer sentences of a task as token ids, for the teacher and for the student."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from pipeline.files import InputError, replacing
from pipeline.params import MitigationParams, Params, TaskParams
from pipeline.stages.command import main
from pipeline.tokenization.augmentation import counterfactuals
from pipeline.tokenization.continuing import encode_continued, frame_prompts
from pipeline.tokenization.encoding import encode_apart, encode_rows, encode_words, encode_written
from pipeline.tokenization.folder import load_tokenizer, read_max_length, save_tokenizer, special_ids
from pipeline.tokenization.questions import encode_questions
from pipeline.tokenization.ragged import UNLABELLED, TokenRows, with_same_targets
from pipeline.tokenization.reweighting import balancing_weights, groups_by_terms
from pipeline.tokenization.table import (
    read_answer_places,
    read_completions,
    read_label_sets,
    read_labels,
    read_metadata,
    read_pairs,
    read_scores,
    read_targets,
    read_texts,
    read_word_labels,
    text_batches,
    write_sentences,
)
from pipeline.tokenization.transfer import content_id, recombine, select_sentences
from pipeline.tokenization.unknown import check_written
from pipeline.tokenization.vocabulary import cut_vocabulary
from pipeline.words import words

SPLITS = ("train", "dev", "test")


def run(
    params: Params,
    *,
    task: str,
    rows: Path,
    corpus: Path,
    tokenizer: Path,
    pretrained: Path,
    out: Path,
    transfer: Path,
    student_tokenizer: Path,
) -> None:
    """Tokenize train, dev and test of `rows` and sentences selected from `corpus`/train.parquet.

    The language model in `pretrained` is asked for other words where params.yaml wants rows with some exchanged.

    Writes `out`/{teacher,student}/{train,dev,test,transfer}, the sentences to `transfer` and the student's tokenizer,
    with the teacher's id of each of its ids in teacher_ids.npy, to `student_tokenizer`. Where people are exchanged
    (`tasks.T.mitigation`), `out`/teacher/counterfactuals are training rows about others, labelled as the rows are, and
    a text of the transfer set about others is for the teacher the text that it was made of.
    """
    section, limit = params.tasks[task], read_max_length(tokenizer)
    if section.max_length > limit:
        raise InputError(f"tasks.{task}.max_length: {section.max_length}, expected at most {limit}, the teacher's")
    teacher, special_tokens = load_tokenizer(tokenizer)
    texts = {split: read_texts(rows / f"{split}.parquet") for split in SPLITS}
    sentences = _transfer_sentences(task, params, corpus / "train.parquet", texts["train"], pretrained)
    of_rows, transfer_set = _with_people_exchanged(section.mitigation, texts, sentences)
    texts["transfer"] = [text for _, text, _ in transfer_set]
    encoding = ENCODING[section.type]
    labels: dict[str, Any] = {split: encoding.read(rows / f"{split}.parquet", section.labels) for split in SPLITS}
    labels["transfer"] = encoding.unlabelled(texts["transfer"], section.labels)
    written: dict[str, Any] = {"end": special_tokens["sep_token"]} if encoding.continued else {}
    if section.generation is not None and not encoding.continued:
        written["max_tokens"] = section.generation.max_tokens

    pairs = {split: found for split in SPLITS if (found := read_pairs(rows / f"{split}.parquet")) is not None}

    def encoded(tokenizer: Tokenizer, texts: Mapping[str, list[str]], **beside: Tokenizer) -> dict[str, TokenRows]:
        found = {}
        for split, own in texts.items():
            further: dict[str, Any] = {**beside, **written, **({"pairs": pairs[split]} if split in pairs else {})}
            found[split] = encoding.encode(tokenizer, own, labels[split], section.max_length, **further)
        return found

    read_by_teacher = texts | {"transfer": [original for _, _, original in transfer_set]}
    teacher_rows = encoded(teacher, read_by_teacher)
    for split in SPLITS if "max_tokens" in written else ():
        unknown_id = special_ids(teacher, special_tokens)["unk_token_id"]
        check_written(rows / f"{split}.parquet", teacher_rows[split], unknown_id)
    student, teacher_ids = _student(task, section, teacher, special_tokens, teacher_rows)
    if encoding.in_windows:  # the same ones for both
        teacher_rows, student_rows = encoded(teacher, texts, beside=student), encoded(student, texts, beside=teacher)
    else:
        student_rows = encoded(student, texts)
    for split in texts:
        teacher_rows[split], student_rows[split] = with_same_targets(teacher_rows[split], student_rows[split])

    weights = _row_weights(section.mitigation, rows / "train.parquet", texts["train"], labels["train"])
    for name, sides in (("teacher", teacher_rows), ("student", student_rows)):
        sides["train"] = replace(sides["train"], weights=weights)
        for split, tokens in sides.items():
            with replacing(out / name / split) as draft:
                tokens.save(draft)
    with replacing(out / "teacher" / "counterfactuals") as draft:
        about_others = [text for _, text in of_rows]
        as_labelled = np.asarray(labels["train"])[[index for index, _ in of_rows]] if of_rows else np.zeros(0, np.int64)
        encode_rows(teacher, about_others, as_labelled, section.max_length).save(draft)
    write_sentences(transfer, [(id_, text) for id_, text, _ in transfer_set])
    with replacing(student_tokenizer) as draft:
        if section.generation is None or not encoding.continued:
            save_tokenizer(student, special_tokens, section.max_length, draft)
        else:  # what is read is what a model goes on with: its end counts, and there has to be room behind it
            completed = any(completion is not None for completion in labels["train"])
            frame_prompts(student, special_tokens["sep_token"], completed=completed)
            room = section.max_length - section.generation.max_tokens
            save_tokenizer(student, special_tokens, room, draft, keep_end=True)
        np.save(draft / "teacher_ids.npy", teacher_ids, allow_pickle=False)
    counts = ", ".join(f"{len(tokens):,} {split}" for split, tokens in teacher_rows.items())
    print(f"tokenize@{task}  {counts} rows; {len(teacher_ids):,} pieces for the student", flush=True)


def _unlabelled_rows(texts: list[str], labels: list[str]) -> np.ndarray:
    return np.full(len(texts), UNLABELLED, dtype=np.int64)


def _unlabelled_sets(texts: list[str], labels: list[str]) -> np.ndarray:
    return np.full((len(texts), len(labels)), UNLABELLED, dtype=np.int8)


def _unlabelled_pairs(texts: list[str], labels: list[str]) -> np.ndarray:
    return np.full(len(texts), UNLABELLED, dtype=np.float32)


def _uncompleted(texts: list[str], labels: list[str]) -> list[None]:
    return [None] * len(texts)


def _unlabelled_words(texts: list[str], labels: list[str]) -> list[list[int]]:
    return [[UNLABELLED] * len(words(text)) for text in texts]


def _nothing(texts: list[str], labels: list[str]) -> list[Any]:
    return []


class Encoding(NamedTuple):
    """How a table's labels are read, what takes their place in the transfer set, and what makes token rows of both.

    in_windows: whether a long text is spread over several token rows. continued: whether a text is gone on with.
    """

    read: Callable[..., Any]
    unlabelled: Callable[[list[str], list[str]], Any]
    encode: Callable[..., TokenRows]
    in_windows: bool = False
    continued: bool = False


# by the task's type
ENCODING = {
    "text_classification": Encoding(read_labels, _unlabelled_rows, encode_rows),
    "multi_label_classification": Encoding(read_label_sets, _unlabelled_sets, encode_rows),
    "token_classification": Encoding(read_word_labels, _unlabelled_words, encode_words),
    # of no question there is no answer: the transfer set of pairs is empty
    "question_answering": Encoding(read_answer_places, _nothing, encode_questions, in_windows=True),
    "sentence_similarity": Encoding(read_scores, _unlabelled_pairs, encode_apart),
    "text_generation": Encoding(read_completions, _uncompleted, encode_continued, continued=True),
    "translation": Encoding(read_targets, _nothing, encode_written),
    "summarization": Encoding(read_targets, _nothing, encode_written),
}


def _transfer_sentences(
    task: str, params: Params, corpus: Path, rows: list[str], pretrained: Path
) -> list[tuple[str, str]]:
    """Return what the teacher labels, (id, text) sorted by id: sentences of the corpus, and what is made of rows."""
    wanted, seed = params.tasks[task].transfer, params.runtime.seed
    documents = (text for batch in text_batches(corpus) for text in batch)
    like = rows if wanted.selection == "importance" else None
    sentences = select_sentences(documents, wanted.sentences, wanted.min_words, wanted.max_words, like)
    if wanted.sentences and not sentences:
        raise InputError(
            f"tasks.{task}.transfer: {corpus} has no sentence of {wanted.min_words} to {wanted.max_words} words, "
            "expected some"
        )
    made = recombine(rows, wanted.recombined, wanted.min_words, wanted.max_words, seed)
    if wanted.replaced:  # the only part of this stage that asks a model
        from pipeline.tokenization.replacement import replace_words
        from pipeline.training import runtime

        dtype = runtime.prepare(params.runtime)
        made += replace_words(rows, wanted.replaced, wanted.min_words, wanted.max_words, pretrained, dtype, seed)
    return sorted(set(sentences + made))


def _with_people_exchanged(
    mitigation: MitigationParams, texts: Mapping[str, list[str]], sentences: list[tuple[str, str]]
) -> tuple[list[tuple[int, str]], list[tuple[str, str, str]]]:
    """Return training rows with people exchanged, as `counterfactuals` does, and the transfer set with these and more.

    Of each text of the transfer set there are its id, the text, and the text that the teacher reads in its place: for
    one with people exchanged that which it was made of. Sorted by id.
    """
    known = {text for split in SPLITS for text in texts[split]} | {text for _, text in sentences}
    of_rows = counterfactuals(texts["train"], known) if mitigation.rows else []
    known |= {text for _, text in of_rows}
    of_sentences = counterfactuals([text for _, text in sentences], known) if mitigation.transfer else []
    made = [(texts["train"][index], text) for index, text in of_rows]
    made += [(sentences[index][1], text) for index, text in of_sentences]
    return of_rows, sorted(
        [(id_, text, text) for id_, text in sentences] + [(content_id(text), text, original) for original, text in made]
    )


def _row_weights(mitigation: MitigationParams, path: Path, texts: list[str], labels: Any) -> np.ndarray | None:
    """Return how much each training row counts, None where all count alike."""
    if mitigation.reweight_by_column is not None:
        return balancing_weights(read_metadata(path, mitigation.reweight_by_column), labels)
    if mitigation.reweight_by_terms is not None:
        return balancing_weights(groups_by_terms(texts, mitigation.reweight_by_terms), labels)
    return None


def _student(
    task: str,
    section: TaskParams,
    teacher: Tokenizer,
    special_tokens: dict[str, str],
    teacher_rows: Mapping[str, TokenRows],
) -> tuple[Tokenizer, np.ndarray]:
    """Return the student's tokenizer and the teacher's id of each of its ids; dev and test are not counted."""
    size, wanted = teacher.get_vocab_size(), section.student.vocabulary_size
    if wanted is None:
        return teacher, np.arange(size, dtype=np.int64)
    counts = sum(np.bincount(teacher_rows[split].ids, minlength=size) for split in ("train", "transfer"))
    try:
        return cut_vocabulary(teacher, special_tokens, np.asarray(counts), wanted)
    except ValueError as error:
        raise InputError(f"tasks.{task}.student.vocabulary_size: {error}") from None


if __name__ == "__main__":
    main(run)
