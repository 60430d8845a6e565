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
    from threadpoolctl import threadpool_limits

    from pipeline.evaluation import evaluation
    from pipeline.evaluation.contenders import Contenders
    from pipeline.evaluation.table import read_table
    from pipeline.files import write_json
    from pipeline.tokenization.ragged import TokenRows
    from pipeline.training import runtime

    settings, dtype = params.tasks[task], runtime.prepare(params.runtime)
    tables = {split: read_table(rows / f"{split}.parquet", settings.labels) for split in ("train", "dev", "test")}
    contenders = Contenders(
        tables,
        teacher_tokens={split: TokenRows.load(tokens / "teacher" / split) for split in tables},
        student_tokens=TokenRows.load(tokens / "student" / "test"),
        transfer=transfer,
        soft_labels=soft_labels,
    )
    with threadpool_limits(params.runtime.threads):
        logits = contenders.networks({"teacher": teacher, "student": student, "undistilled_student": undistilled})
        baselines = contenders.baselines(pretrained, classes=len(settings.labels), dtype=dtype)
    result = evaluation.evaluate(
        task,
        tables["test"],
        logits,
        baselines,
        labels=settings.labels,
        folders={"teacher": teacher, "student": student},
        settings=settings.evaluate,
        seed=params.runtime.seed,
    )
    evaluation.write_predictions(predictions, tables["test"], logits, baselines, settings.labels)
    evaluation.write_confusion(confusion, tables["test"].labels, logits["student"], settings.labels)
    evaluation.write_reliability(reliability, result["reliability"])
    write_json(out, result)


if __name__ == "__main__":
    main(run)
