"""Teacher, student and baselines on the test split: the only stage that reads it, once per candidate."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.params import Params, TaskParams
from pipeline.stages.command import main

if TYPE_CHECKING:
    import numpy as np
    import torch

    from pipeline.evaluation.calibration import Calibration
    from pipeline.evaluation.contenders import Lessons
    from pipeline.evaluation.outcome import Answered
    from pipeline.evaluation.table import LabelledTexts
    from pipeline.tasks.labelling import LabellingTask
    from pipeline.tokenization.ragged import TokenRows

SPLITS = ("train", "dev", "test")
ALIKE = 0.8  # of the range of scores: from there on a text counts as a question that its pair answers


def run(
    params: Params,
    *,
    task: str,
    rows: Path,
    tokens: Path,
    teacher: Path,
    student: Path,
    exported: Path,
    undistilled: Path,
    pretrained: Path,
    transfer: Path,
    soft_labels: Path,
    out: Path,
    predictions: Path,
    confusion: Path,
    reliability: Path,
) -> None:
    """Measure the student of a task, in the form that is served, beside its teacher and the baselines."""
    from pipeline.architectures.exported import RECORD, is_exported
    from pipeline.evaluation import outcome
    from pipeline.evaluation.calibration import Calibration
    from pipeline.files import read_json, write_json
    from pipeline.tasks import TASKS
    from pipeline.tokenization.ragged import TokenRows
    from pipeline.training import runtime

    section, dtype = params.tasks[task], runtime.prepare(params.runtime)
    head = TASKS[section.type]().from_params(section)
    lessons = _lessons(section, head, rows, tokens, pretrained, transfer, soft_labels, dtype)
    student_rows = TokenRows.load(tokens / "student" / "test")
    served, record = exported if is_exported(exported) else student, read_json(exported / RECORD)
    calibration = Calibration.of(record)
    networks = {
        "teacher": (teacher, lessons.tokens["test"]),
        "student": (served, student_rows),
        "undistilled_student": (undistilled, student_rows),
    }
    if served is exported:
        networks["student_in_pytorch"] = (student, student_rows)
    answered = _answered(section, head, lessons, networks, calibration, params.runtime.threads)
    found = outcome.evaluation_outcome(
        task,
        answered,
        section.metrics,
        folders={"teacher": teacher, "student": student},
        served=served if served is exported else None,
        settings=section.evaluate,
        seed=params.runtime.seed,
    )
    if section.type == "question_answering":
        found["retrieval"] = _with_retrieved_passages(head, lessons.splits["test"], served)
    if section.type == "sentence_similarity":
        found["retrieval"] = _pairs_found(section, lessons.splits["test"], {"teacher": teacher, "student": served})
    if section.evaluate.identity_groups:
        found["counterfactuals"] = _with_people_exchanged(
            section,
            head,
            lessons.splits["test"].texts,
            {"teacher": teacher, "student": served},
            calibration,
            params.runtime.seed,
        )
    if found["exported"]:
        found["exported"] |= record
    outcome.write_predictions(predictions, answered)
    outcome.write_confusion(confusion, answered)
    outcome.write_reliability(reliability, found["reliability"])
    write_json(out, outcome.rounded(found))


def _lessons(
    section: TaskParams,
    head: "LabellingTask",
    rows: Path,
    tokens: Path,
    pretrained: Path,
    transfer: Path,
    soft_labels: Path,
    dtype: "torch.dtype",
) -> "Lessons":
    """Return what baselines learn from: the labelled rows, the teacher's tokens of them, what the teacher says."""
    import numpy as np

    from pipeline.evaluation.contenders import Lessons
    from pipeline.evaluation.table import read_labelled_texts, read_texts
    from pipeline.tokenization.ragged import TokenRows

    return Lessons(
        section.labels,
        {
            split: read_labelled_texts(
                rows / f"{split}.parquet", section.type, section.labels, section.evaluate.columns
            )
            for split in SPLITS
        },
        {split: TokenRows.load(tokens / "teacher" / split) for split in (*SPLITS, "transfer")},
        read_texts(transfer),
        np.zeros((0, 0), np.float32) if section.generation else _teacher_logits(soft_labels),
        pretrained,
        dtype,
        head,
    )


def _teacher_logits(soft_labels: Path) -> "np.ndarray":
    import numpy as np

    from pipeline.tokenization.ragged import open_array

    return np.concatenate([open_array(soft_labels / f"{name}.npy") for name in ("train", "transfer")])


def _answered(
    section: TaskParams,
    head: "LabellingTask",
    lessons: "Lessons",
    networks: "dict[str, tuple[Path, TokenRows]]",
    calibration: "Calibration",
    threads: int,
) -> "Answered":
    """Ask the networks, each with the test rows in its tokens, and the baselines."""
    from threadpoolctl import threadpool_limits

    from pipeline.evaluation import contenders, outcome
    from pipeline.evaluation.report import PLAIN

    test = lessons.splits["test"]
    actual = head.measured_against(test.actual, lessons.tokens["test"], test.texts)
    said = contenders.ask_networks(head, networks, test.texts)
    choices = {
        name: outcome.Choices(found.logits, found.labels)
        for name, found in said.items()
        if name in outcome.SCORED and found.logits is not None
    }
    answers = {name: found.answers for name, found in said.items()}
    if section.type == "multi_label_classification":
        for name in {"student", PLAIN} & said.keys():
            answers[name] = calibration.label_sets(calibration.scaled(said[name].logits), section.labels)
    with threadpool_limits(threads):  # scikit-learn's sums depend on them as torch's do
        answers |= contenders.baseline_answers(section.type, lessons)
    written = {name: found.written for name, found in said.items() if name in outcome.SCORED}
    test = replace(test, actual=actual)
    return outcome.Answered(test, section.labels, head.classes, choices, answers, written, calibration)


def _with_retrieved_passages(head: "LabellingTask", test: "LabelledTexts", student: Path) -> dict[str, Any]:
    """Return how often the passage of a test question is found among all of the split, and what the best one brings."""
    from pipeline.evaluation import contenders, figures, retrieval
    from pipeline.tokenization.folder import load_tokenizer, read_max_length
    from pipeline.tokenization.questions import encode_questions
    from pipeline.tokenization.table import AnswerPlace

    passages, questions = [*dict.fromkeys(test.texts)], test.pairs or []
    best = retrieval.best_passages(passages, questions, 5)
    right, texts = [passages.index(text) for text in test.texts], [passages[row[0]] for row in best]
    unknown = [AnswerPlace(id_, 0, 0) for id_ in test.ids]
    tokens = encode_questions(load_tokenizer(student)[0], texts, unknown, read_max_length(student), questions)
    said = contenders.ask_networks(head, {"student_with_retrieved_passages": (student, tokens)}, texts)
    answers = said["student_with_retrieved_passages"].answers
    scores = {metric: figures.score(metric, test.actual, answers) for metric in ("token_f1", "exact_match")}
    found = {"bm25": retrieval.found_among(best, right)}
    return {"passages": len(passages), "questions": len(questions), "found_by": found, "student": scores}


def _pairs_found(section: TaskParams, test: "LabelledTexts", models: dict[str, Path]) -> dict[str, Any]:
    """Return how often the pair of a text that is much like it is found among all pairs of the split."""
    import numpy as np

    from pipeline.evaluation import retrieval
    from pipeline.tokenization.encoding import encode_rows
    from pipeline.tokenization.folder import load_tokenizer

    pairs, scores = test.pairs or [], np.asarray(test.actual, dtype=np.float64)
    alike = np.flatnonzero(scores >= scores.min() + ALIKE * np.ptp(scores))
    passages, questions = [*dict.fromkeys(pairs)], [test.texts[row] for row in alike]
    right = [passages.index(pairs[row]) for row in alike]
    found = {"bm25": retrieval.found_among(retrieval.best_passages(passages, questions, 5), right)}
    for name, folder in models.items():
        tokenizer = load_tokenizer(folder)[0]
        read = {
            split: encode_rows(tokenizer, texts, np.zeros(len(texts), np.int64), section.max_length)
            for split, texts in (("passages", passages), ("questions", questions))
        }
        vectors = _vectors_compared(folder, read, name)
        found[name] = retrieval.found_among(retrieval.nearest_passages(**vectors, count=5), right)
    return {"passages": len(passages), "questions": len(questions), "found_by": found}


def _vectors_compared(folder: Path, read: "dict[str, TokenRows]", name: str) -> "dict[str, np.ndarray]":
    """Return the vectors, (rows, width), by which a model that compares texts does it, for the rows of each split."""
    import torch

    from pipeline.architectures.exported import ExportedModel, is_exported
    from pipeline.evaluation.frozen_encoder import MeanPooled, frozen_vectors
    from pipeline.training.prediction import predict_logits

    if not is_exported(folder):
        return frozen_vectors(MeanPooled, folder, read, torch.float32, name)
    graph = ExportedModel(folder)
    settings: dict[str, Any] = {"batch_size": 32, "pad_token_id": graph.config.pad_token_id, "dtype": torch.float32}
    return {split: predict_logits(graph, rows, **settings, name=f"{name}, {split}") for split, rows in read.items()}


def _with_people_exchanged(
    section: TaskParams,
    head: "LabellingTask",
    texts: list[str],
    models: dict[str, Path],
    calibration: "Calibration",
    seed: int,
) -> dict[str, Any]:
    """Return what teacher and student make of test rows and templates, and of the same about other people."""
    import numpy as np

    from pipeline.evaluation import contenders, fairness
    from pipeline.evaluation.significance import Bootstrap
    from pipeline.tokenization.encoding import encode_rows
    from pipeline.tokenization.folder import load_tokenizer

    asked = fairness.counterfactuals(section.evaluate.identity_groups, texts)
    both = [one.text for one in asked] + [one.swapped for one in asked]
    networks = {
        name: (folder, encode_rows(load_tokenizer(folder)[0], both, np.zeros(len(both), np.int64), section.max_length))
        for name, folder in models.items()
    }
    print(f"{len(asked):,} test rows and templates, and the same about other people", flush=True)
    scores = contenders.label_probabilities(head, networks, {"student": calibration}, both)
    bootstrap = Bootstrap(section.evaluate.bootstrap_samples, section.evaluate.confidence, seed)
    return fairness.flip_figures(asked, scores, section.labels, bootstrap)


if __name__ == "__main__":
    main(run)
