"""Teacher, student and baselines on the test split: the only stage that reads it, once per candidate."""

from pathlib import Path

from pipeline.params import Params
from pipeline.stages.command import main


def run(
    params: Params,
    *,
    task: str,
    rows: Path,
    tokens: Path,
    teacher: Path,
    student: Path,
    undistilled: Path,
    pretrained: Path,
    transfer: Path,
    soft_labels: Path,
    out: Path,
    predictions: Path,
    confusion: Path,
    reliability: Path,
) -> None:
    """Measure the student of a task beside its teacher and the baselines."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from pipeline.evaluation import outcome
    from pipeline.evaluation.contenders import baseline_predictions, network_logits
    from pipeline.evaluation.table import read_labelled_texts, read_texts
    from pipeline.files import write_json
    from pipeline.tokenization.ragged import TokenRows, open_array
    from pipeline.training import runtime

    labels, dtype = params.tasks[task].labels, runtime.prepare(params.runtime)
    splits = {split: read_labelled_texts(rows / f"{split}.parquet", labels) for split in ("train", "dev", "test")}
    teacher_rows = {split: TokenRows.load(tokens / "teacher" / split) for split in splits}
    student_test = TokenRows.load(tokens / "student" / "test")
    test = splits["test"]

    logits = network_logits(
        {
            "teacher": (teacher, teacher_rows["test"]),
            "student": (student, student_test),
            "undistilled_student": (undistilled, student_test),
        }
    )
    with threadpool_limits(params.runtime.threads):  # scikit-learn's sums depend on them as torch's do
        baselines = baseline_predictions(
            splits,
            tokens=teacher_rows,
            pretrained=pretrained,
            transfer=read_texts(transfer),
            teacher_logits=np.concatenate([open_array(soft_labels / f"{name}.npy") for name in ("train", "transfer")]),
            dtype=dtype,
        )

    found = outcome.evaluation_outcome(
        task,
        test,
        logits,
        baselines,
        labels=labels,
        folders={"teacher": teacher, "student": student},
        settings=params.tasks[task].evaluate,
        seed=params.runtime.seed,
    )
    outcome.write_predictions(predictions, test, logits, baselines, labels)
    outcome.write_confusion(confusion, test, logits["student"], labels)
    outcome.write_reliability(reliability, found["reliability"])
    write_json(out, found)


if __name__ == "__main__":
    main(run)
