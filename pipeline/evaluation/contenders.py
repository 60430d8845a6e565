"""Everything that answers the test rows: the networks that were trained, and the baselines that are trained here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from scipy.special import softmax
from transformers import PreTrainedModel

from pipeline.evaluation import baselines, label_baselines, ngrams, readers, similarity, taggers, writing_baselines
from pipeline.evaluation.calibration import Calibration
from pipeline.evaluation.figures import Answers, score
from pipeline.evaluation.frozen_encoder import MeanPooled, TokenStates, frozen_vectors
from pipeline.evaluation.table import LabelledTexts
from pipeline.training import runtime
from pipeline.training.batches import Rows

BATCH_SIZE = 32


class Task(Protocol):
    """What loads a trained model in float32 and asks it, as pipeline.tasks has it."""

    def load(self, folder: Path) -> PreTrainedModel: ...

    def ask(self, model: Any, tokens: Any, texts: Sequence[str], *, batch_size: int, name: str) -> Any: ...


@dataclass(frozen=True)
class Lessons:
    """What baselines learn from, and the test rows that they answer.

    labels: the task's. splits: train, dev and test. tokens: the teacher's of those and of the texts `transfer`, as
    pipeline.tokenization.ragged.TokenRows has them. teacher_logits: those of train and of transfer, after one another,
    float32 (targets, classes), none where texts are written. pretrained: the folder of the language model. dtype: what
    it computes in. task: as pipeline.tasks has it.
    """

    labels: list[str]
    splits: Mapping[str, LabelledTexts]
    tokens: Mapping[str, Any]
    transfer: list[str]
    teacher_logits: np.ndarray
    pretrained: Path
    dtype: torch.dtype
    task: Any


def ask_networks(task: Task, networks: Mapping[str, tuple[Path, Rows]], texts: Sequence[str]) -> dict[str, Any]:
    """Return what each network says (`pipeline.tasks.labelling.Said`) of the test rows in its tokens.

    networks: by name the folder and the tokens of `texts`. Computed in float32, as the registered model is served.
    """
    said = {}
    for name, (folder, tokens) in networks.items():
        model = torch.nn.Module.to(task.load(folder), runtime.device())
        said[name] = task.ask(model, tokens, texts, batch_size=BATCH_SIZE, name=name.replace("_", " "))
    return said


def label_probabilities(
    task: Task, networks: Mapping[str, tuple[Path, Rows]], calibrations: Mapping[str, Calibration], texts: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return how likely each network finds each label of `texts`, float64 (texts, labels), as `ask_networks` asks it.

    calibrations: how logits become probabilities, of those networks that have one.
    """
    said = ask_networks(task, networks, texts)
    return {
        name: softmax(calibrations.get(name, Calibration()).scaled(found.logits), axis=1)
        for name, found in said.items()
    }


def baseline_answers(task_type: str, lessons: Lessons) -> dict[str, Answers]:
    """Return what each baseline answers to the test rows."""
    return BASELINES[task_type](lessons)


def _classifiers(lessons: Lessons) -> dict[str, Answers]:
    train, dev, test = (lessons.splits[split] for split in ("train", "dev", "test"))
    answers: dict[str, Answers] = {"majority": baselines.majority(train.actual, len(test.ids))}
    print("baselines: naive Bayes, TF-IDF and logistic regression", flush=True)
    answers["naive_bayes"] = baselines.naive_bayes(train, dev, test.words)
    answers["tfidf_logistic_regression"] = baselines.tfidf_logistic_regression(train, dev, test.words)
    taught = f"{len(lessons.teacher_logits):,} rows"
    print(f"baselines: logistic regression on the teacher's soft labels, {taught}", flush=True)
    answers["distilled_tfidf_logistic_regression"] = baselines.distilled_tfidf_logistic_regression(
        train.words + lessons.transfer, lessons.teacher_logits, dev, test.words
    )
    vectors = _vectors(MeanPooled, lessons)
    answers["frozen_encoder_logistic_regression"] = baselines.frozen_encoder_logistic_regression(
        vectors["train"], train.actual, vectors["dev"], dev.actual, vectors["test"]
    )
    return answers


def _several_labels(lessons: Lessons) -> dict[str, Answers]:
    (train, dev, test), labels = (lessons.splits[split] for split in ("train", "dev", "test")), lessons.labels
    known: Any = train.actual
    yes = label_baselines.as_matrix(known, labels)

    def dev_score(answers: Answers) -> float:
        return score("micro_f1", dev.actual, answers)

    fitted = label_baselines.OneVersusRest(labels, dev_score)
    print("baselines: TF-IDF and a logistic regression for each label", flush=True)
    texts, taught = (train.words, dev.words, test.words), (train.words + lessons.transfer, dev.words, test.words)
    answers: dict[str, Answers] = {
        "same_labels": label_baselines.same_labels(known, len(test.ids)),
        "tfidf_logistic_regression": label_baselines.tfidf_logistic_regression(fitted, texts, yes),
    }
    print(f"baselines: the same on the teacher's soft labels, {len(lessons.teacher_logits):,} rows", flush=True)
    answers["distilled_tfidf_logistic_regression"] = label_baselines.distilled_tfidf_logistic_regression(
        fitted, taught, lessons.teacher_logits
    )
    vectors = _vectors(MeanPooled, lessons)
    answers["frozen_encoder_logistic_regression"] = label_baselines.frozen_encoder_logistic_regression(
        fitted, (vectors["train"], vectors["dev"], vectors["test"]), yes
    )
    return answers


def _taggers(lessons: Lessons) -> dict[str, Answers]:
    (train, dev, test), labels = (lessons.splits[split] for split in ("train", "dev", "test")), lessons.labels
    targets = {split: np.asarray(rows.targets) for split, rows in lessons.tokens.items()}
    known, tags = taggers.Words.of(train.texts, targets["train"]), np.asarray(lessons.tokens["train"].labels)
    on_dev, on_test = taggers.Words.of(dev.texts), taggers.Words.of(test.texts)

    def dev_score(tags: np.ndarray) -> float:
        return score("span_f1", dev.actual, on_dev.spans(dev.texts, tags, labels))

    found = {"most_frequent_tag": taggers.most_frequent_tag(known, tags, on_test)}
    print("baselines: CRF", flush=True)
    found["conditional_random_field"] = taggers.conditional_random_field(known, tags, on_dev, on_test, dev_score)
    print(f"baselines: CRF on what the teacher says, {len(lessons.teacher_logits):,} words", flush=True)
    both = np.concatenate([targets["train"], targets["train"][-1] + targets["transfer"][1:]])
    taught = taggers.Words.of(train.texts + lessons.transfer, both)
    found["distilled_conditional_random_field"] = taggers.distilled_conditional_random_field(
        taught, lessons.teacher_logits, on_dev, on_test, dev_score
    )
    answers: dict[str, Answers] = {name: on_test.spans(test.texts, said, labels) for name, said in found.items()}
    return answers | {"frozen_encoder_tagger": _frozen_tagger(lessons, targets)}


def _frozen_tagger(lessons: Lessons, targets: Mapping[str, np.ndarray]) -> Answers:
    """Return the spans by vectors of words, which there are up to where a row of tokens was cut."""
    dev, test, vectors = lessons.splits["dev"], lessons.splits["test"], _vectors(TokenStates, lessons)
    on_dev, on_test = (taggers.Words.of(rows.texts, targets[split]) for split, rows in (("dev", dev), ("test", test)))
    tags = taggers.frozen_encoder_tagger(
        vectors["train"],
        np.asarray(lessons.tokens["train"].labels),
        vectors["dev"],
        vectors["test"],
        lambda tags: score("span_f1", dev.actual, on_dev.spans(dev.texts, tags, lessons.labels)),
    )
    return on_test.spans(test.texts, tags, lessons.labels)


def _readers(lessons: Lessons) -> dict[str, Answers]:
    (train, dev, test), tokens = (lessons.splits[split] for split in ("train", "dev", "test")), lessons.tokens
    sentences = readers.most_similar_sentence(train.texts, test.texts, test.pairs or [])
    print("baselines: start and end from what the frozen encoder says of words", flush=True)
    vectors = _vectors(TokenStates, lessons)
    logits = readers.frozen_encoder_reader(
        vectors["train"],
        np.asarray(tokens["train"].labels),
        vectors["dev"],
        vectors["test"],
        lambda logits: score("token_f1", dev.actual, lessons.task.answers(logits, tokens["dev"], dev.texts)),
    )
    frozen = lessons.task.answers(logits, tokens["test"], test.texts)
    return {"most_similar_sentence": sentences, "frozen_encoder_reader": frozen}


def _similarities(lessons: Lessons) -> dict[str, Answers]:
    train, test = lessons.splits["train"], lessons.splits["test"]
    print("baselines: cosines of TF-IDF, of the language model's vectors", flush=True)
    both = {"test": lessons.tokens["test"].apart()}
    vectors = frozen_vectors(MeanPooled, lessons.pretrained, both, lessons.dtype)["test"]
    return {
        "tfidf_cosine": similarity.tfidf_cosine(train, test),
        "character_tfidf_cosine": similarity.character_tfidf_cosine(train, test),
        "frozen_encoder_cosine": similarity.cosines(vectors[::2], vectors[1::2]),
    }


def _vectors(read: type[TokenStates], lessons: Lessons) -> dict[str, np.ndarray]:
    tokens = {split: lessons.tokens[split] for split in lessons.splits}
    return frozen_vectors(read, lessons.pretrained, tokens, lessons.dtype)


def _ngrams(lessons: Lessons) -> dict[str, Answers]:
    def written(split: str) -> ngrams.Written:
        completions: Any = lessons.splits[split].actual
        return ngrams.Written(lessons.splits[split].texts, completions)

    train, dev, test = (written(split) for split in ("train", "dev", "test"))
    print("baselines: counted characters", flush=True)
    return {
        "character_unigram": ngrams.character_unigram(train, test),
        "character_ngram": ngrams.character_ngram(train, dev, test),
    }


def _targets(lessons: Lessons) -> list[str]:
    """Return the texts that were to be written for the train split."""
    return [str(text) for text in lessons.splits["train"].actual]


def _translators(lessons: Lessons) -> dict[str, Answers]:
    train, test, targets = lessons.splits["train"], lessons.splits["test"], _targets(lessons)
    print("baselines: the most similar text's translation, word by word", flush=True)
    return {
        "copy": test.texts,
        "most_similar_text": writing_baselines.of_most_similar(train.texts, targets, test.texts),
        "word_by_word": writing_baselines.word_by_word(train.texts, targets, test.texts),
    }


def _summarizers(lessons: Lessons) -> dict[str, Answers]:
    train, test = lessons.splits["train"], lessons.splits["test"]
    return {
        "lead": writing_baselines.lead(test.texts),
        "longest_sentence": writing_baselines.longest_sentence(test.texts),
        "most_similar_text": writing_baselines.of_most_similar(train.texts, _targets(lessons), test.texts),
    }


BASELINES: dict[str, Callable[[Lessons], dict[str, Answers]]] = {
    "text_classification": _classifiers,
    "multi_label_classification": _several_labels,
    "token_classification": _taggers,
    "question_answering": _readers,
    "sentence_similarity": _similarities,
    "text_generation": _ngrams,
    "translation": _translators,
    "summarization": _summarizers,
}
