"""The student: taught by the teacher on labelled and unlabelled rows; beside it the same student from labels alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.files import content_hash, replacing
from pipeline.params import DistillParams, Params, TaskParams
from pipeline.processes import rank
from pipeline.stage_run import OUTPUT_HASH, stage_run
from pipeline.stages.command import main
from pipeline.training.launching import launch

if TYPE_CHECKING:
    import torch

    from pipeline.distillation.online import OnlineTeacher
    from pipeline.distillation.teacher_cache import Likeliest
    from pipeline.distillation.teacher_outputs import TeacherOutputs
    from pipeline.tasks.labelling import LabellingTask
    from pipeline.tasks.writing import WritingTask
    from pipeline.tokenization.ragged import TokenRows

TEACHER_CACHE = Path(".stillhouse/teacher_cache")
SPLITS = ("train", "dev", "transfer")


def run(
    params: Params,
    *,
    task: str,
    teacher: Path,
    teacher_tokens: Path,
    student_tokens: Path,
    student_tokenizer: Path,
    pretrained_student: Path,
    out: Path,
    undistilled: Path,
    soft_labels: Path,
    history: Path,
) -> None:
    """Distil the teacher of a task into its student, and train the same student without a teacher.

    pretrained_student: the student as it has learnt from the language model, or a record that it has not.
    """
    import numpy as np

    from pipeline.architectures.model_folder import publish_model
    from pipeline.architectures.shape import shape_of
    from pipeline.distillation.course import Course
    from pipeline.distillation.student import check_shapes
    from pipeline.tasks import TASKS
    from pipeline.tokenization.folder import load_tokenizer, special_ids
    from pipeline.tokenization.ragged import TokenRows
    from pipeline.training import ranks, runtime
    from pipeline.training.checkpoints import work_folder
    from pipeline.training.history import write_history

    section, dtype = params.tasks[task], runtime.prepare(params.runtime)
    teacher_shape = shape_of(teacher)
    check_shapes(task, section, teacher_shape)
    head = TASKS[section.type]().from_params(section)
    sides = (student_tokens, teacher_tokens)
    rows, teacher_rows = ({split: TokenRows.load(side / split) for split in SPLITS} for side in sides)
    teacher_ids = np.load(student_tokenizer / "teacher_ids.npy", allow_pickle=False)
    ids = special_ids(*load_tokenizer(student_tokenizer))

    learnt = pretrained_student if (pretrained_student / "config.json").is_file() else None
    tokens = (side / split for side in (teacher_tokens, student_tokens) for split in SPLITS)
    chosen = {"student": section.student.model_dump(), "distill": section.distill.model_dump()}
    names = head.names
    if section.generation is not None:
        chosen["generation"] = section.generation.model_dump()
        names = names | {"eos_token_id": ids["sep_token_id"]}
    key = {"params": chosen, "runtime": params.runtime.model_dump(), "labels": section.labels}
    key["inputs"] = [content_hash(folder) for folder in (teacher, student_tokenizer, *tokens, *filter(None, [learnt]))]
    with work_folder(f"distill-{task}", key) as work, stage_run(f"distill@{task}", chosen, work) as stage:
        pad_token_id = ids["pad_token_id"]
        course = Course(
            section,
            params.runtime,
            head,
            names,
            rows,
            teacher_rows,
            teacher_ids,
            pad_token_id,
            dtype,
            work,
            stage.log,
            learnt,
        )
        if section.distill.losses.sequences:
            written = ranks.one_first(lambda: _teacher_texts(section, head, teacher, teacher_tokens, rows, dtype))
            _keep_texts(written, soft_labels)
            student, records = course.taught_by_texts(written, teacher)
        else:
            outputs = ranks.one_first(lambda: _teacher_outputs(params, task, head, teacher, teacher_tokens, dtype))
            _keep_soft_labels(outputs, soft_labels)
            online = _online_teacher(section, head, teacher, teacher_rows, dtype) if section.distill.online else None
            student, records = course.distilled(outputs, teacher, teacher_shape.hidden_size, online)
        if rank() == 0:
            publish_model(student, student_tokenizer, out)
        twin, twin_records = course.undistilled()
        if rank() == 0:
            publish_model(twin, student_tokenizer, undistilled)
            write_history(history, records + twin_records)
            stage.tags[OUTPUT_HASH] = content_hash(out)


def _keep_texts(written: "dict[str, TokenRows]", folder: Path) -> None:
    if rank() == 0:
        with replacing(folder) as draft:
            for split, tokens in written.items():
                tokens.save(draft / split)


def _keep_soft_labels(outputs: "dict[str, TeacherOutputs]", folder: Path) -> None:
    import numpy as np

    if rank() == 0:
        with replacing(folder) as draft:
            draft.mkdir()
            for split, said in outputs.items():
                np.save(draft / f"{split}.npy", said.logits, allow_pickle=False)
                if said.likeliest is not None:
                    np.save(draft / f"{split}_likeliest.npy", said.likeliest, allow_pickle=False)


def _teacher_outputs(
    params: Params, task: str, head: "LabellingTask", teacher: Path, tokens: Path, dtype: "torch.dtype"
) -> "dict[str, TeacherOutputs]":
    from pipeline.architectures.attention import attention_implementation
    from pipeline.distillation.lessons import states_compared
    from pipeline.distillation.teacher_cache import cached_outputs
    from pipeline.tokenization.ragged import TokenRows

    wanted = params.tasks[task].distill
    return cached_outputs(
        {split: TokenRows.load(tokens / split) for split in SPLITS},
        lambda: head.load(teacher, attn_implementation=attention_implementation()),
        folder=TEACHER_CACHE,
        inputs={"teacher": content_hash(teacher)} | {split: content_hash(tokens / split) for split in SPLITS},
        states=states_compared(wanted, student=False),
        dtype=dtype,
        likeliest=_likeliest(wanted),
        keep_states=not wanted.online,
        engine=params.engine,
    )


def _online_teacher(
    section: TaskParams, head: "LabellingTask", teacher: Path, rows: "dict[str, TokenRows]", dtype: "torch.dtype"
) -> "OnlineTeacher":
    from pipeline.architectures.attention import attention_implementation
    from pipeline.distillation.lessons import states_compared
    from pipeline.distillation.online import OnlineTeacher
    from pipeline.distillation.teacher_cache import asking

    model = head.load(teacher, attn_implementation=attention_implementation())
    states = states_compared(section.distill, student=False)
    return OnlineTeacher(asking(model, states, dtype, _likeliest(section.distill)), rows)


def _likeliest(distill: DistillParams) -> "Likeliest | None":
    from pipeline.distillation.teacher_cache import Likeliest

    return None if distill.likeliest is None else Likeliest(distill.likeliest, distill.temperature)


def _teacher_texts(
    section: TaskParams,
    head: "WritingTask",
    teacher: Path,
    tokens: Path,
    rows: "dict[str, TokenRows]",
    dtype: "torch.dtype",
) -> "dict[str, TokenRows]":
    """Return the student's token rows with what the teacher writes for them, in tokens that both have, as labels."""
    from pipeline.distillation.written import BATCH_SIZE, cached_texts
    from pipeline.tasks.generation import generate
    from pipeline.tasks.writing import with_written
    from pipeline.tokenization.ragged import TokenRows

    assert section.generation is not None
    texts = cached_texts(
        {split: TokenRows.load(tokens / split) for split in SPLITS},
        lambda: head.load(teacher),
        lambda model, read, split: generate(model, read, batch_size=BATCH_SIZE, dtype=dtype, name=f"teacher {split}"),
        folder=TEACHER_CACHE,
        inputs={"teacher": content_hash(teacher)} | {split: content_hash(tokens / split) for split in SPLITS},
        generation=section.generation.model_dump(),
        dtype=dtype,
    )
    return {split: with_written(rows[split], texts[split]) for split in SPLITS}


if __name__ == "__main__":
    main(run, launch)
