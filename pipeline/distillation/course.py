"""Two students of one shape and one seed: one taught by the teacher, its twin by the labels alone."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.utils.data import ConcatDataset
from transformers import PreTrainedModel

from pipeline.distillation.lessons import (
    DistillationLoss,
    Lessons,
    divergences,
    read_alike,
    states_compared,
    with_teacher,
)
from pipeline.distillation.losses import divergence
from pipeline.distillation.online import OnlineTeacher
from pipeline.distillation.student import build_student, start_from_pretrained_student, start_from_teacher
from pipeline.distillation.teacher_outputs import TeacherOutputs
from pipeline.params import RuntimeParams, TaskParams, TrainingParams
from pipeline.processes import rank
from pipeline.training.prediction import Reduce, predict_logits
from pipeline.training.trainer import Record, train

Best = tuple[str, Literal["max", "min"]]  # the figure of dev by which the best state is chosen, and its direction
UNDISTILLED_EVALUATIONS = 60  # labels alone are learnt, and overlearnt, within a few passes: dev is read often
PASSES_WITHOUT_GAIN = 6  # over the labelled rows before it stops: one of few steps begins to learn late


@dataclass(frozen=True)
class Course:
    """What both students share.

    head: the task (pipeline.tasks). names: what the student's configuration says of it and of its vocabulary. rows and
    teacher_rows: the student's and the teacher's token rows of train, dev and transfer. teacher_ids: int64 (student's
    vocabulary,), the teacher's id of each of the student's. work: folder of the checkpoints. log: gets each history
    record as it is made. pretrained_student: folder of the student as it has learnt from the language model, None where
    it has not.
    """

    task: TaskParams
    runtime: RuntimeParams
    head: Any
    names: Mapping[str, Any]
    rows: Mapping[str, Any]
    teacher_rows: Mapping[str, Any]
    teacher_ids: np.ndarray
    pad_token_id: int
    dtype: torch.dtype
    work: Path
    log: Callable[[Record], None]
    pretrained_student: Path | None = None

    def distilled(
        self,
        outputs: Mapping[str, TeacherOutputs],
        teacher: Path,
        teacher_width: int,
        online: OnlineTeacher | None = None,
    ) -> tuple[PreTrainedModel, list[Record]]:
        """Train the student on train and transfer rows by the weighted losses; return it and its history.

        outputs: what the teacher says about the rows of each split. teacher: its folder, for the student's
            first weights. online: the teacher, where it is asked again about the rows that are learnt from.
        """
        student = self._student()
        if self.pretrained_student is not None:
            start_from_pretrained_student(student, self.pretrained_student)
        else:
            start_from_teacher(student, self.task.student, teacher, self.teacher_ids)
        taught, says = ("train", "transfer"), outputs if online is None else online.questions
        lessons: ConcatDataset[Any] = ConcatDataset(
            [Lessons(self.head.rows(self.rows[name]), says[name], self._alike(name)) for name in taught]
        )
        lengths = np.concatenate([self.rows[name].lengths for name in taught])

        def collate(batch: list[Any], generator: np.random.Generator) -> dict[str, torch.Tensor]:
            rows, said = zip(*batch, strict=True)
            answers = said if online is None else online.answers(said)
            return with_teacher(self.head.collate(rows, self.pad_token_id), answers)

        loss = DistillationLoss(self.head, student, self.task.distill, teacher_width)
        training, dev = self.task.distill.training, self.rows["dev"]
        reduce = self._with_divergence(dev, outputs["dev"])

        def evaluate(module: nn.Module) -> dict[str, float]:
            model: Any = module.model
            logits = predict_logits(
                model,
                dev,
                batch_size=training.batch_size,
                pad_token_id=self.pad_token_id,
                dtype=self.dtype,
                reduce=reduce,
            )
            figures: dict[str, float] = self.head.score(logits, dev)
            if reduce is not None:
                mass_kept = 1 - np.exp(outputs["dev"].logits[:, -1].astype(np.float64)).mean()
                return figures | {"divergence": float(logits[:, -1].mean()), "mass_kept": float(mass_kept)}
            student, teacher = (self.head.choices(said, dev).logits for said in (logits, outputs["dev"].logits))
            return figures | {"divergence": float(divergence(student, teacher).mean())}

        # from the teacher and not from the labels: on a dev split of a few hundred rows accuracy jumps by chance
        best: Best = ("divergence", "min")
        return student, self._train("student", loss, lessons, lengths, collate, training, evaluate, best)

    def taught_by_texts(self, written: Mapping[str, Any], teacher: Path) -> tuple[PreTrainedModel, list[Record]]:
        """Train the student on what the teacher writes for train and transfer rows; return it and its history.

        written: the token rows of each split, with what the teacher writes as labels. teacher: its folder, for the
        student's first weights. The best state is the one that gives what the teacher writes for dev the least loss.
        """
        student = self._student()
        start_from_teacher(student, self.task.student, teacher, self.teacher_ids)
        lessons = [self.head.rows(written[name]) for name in ("train", "transfer")]
        training = self.task.distill.training
        evaluate = self.head.evaluation(
            written["dev"], batch_size=training.batch_size, pad_token_id=self.pad_token_id, dtype=self.dtype
        )
        rows: ConcatDataset[Any] = ConcatDataset([part for part in lessons if len(part)])
        lengths, loss = np.concatenate([part.lengths for part in lessons]), self.head.loss(student)
        return student, self._train("student", loss, rows, lengths, self._collate, training, evaluate, self.head.best)

    def undistilled(self) -> tuple[PreTrainedModel, list[Record]]:
        """Train the same student, all its weights random, on the labels alone; return it and its history.

        For at most as many steps as the student took its lessons. Dev is read UNDISTILLED_EVALUATIONS times, and
        training stops when PASSES_WITHOUT_GAIN passes bring nothing better, whatever patience the student is given.
        """
        student = self._student()
        training = self.task.distill.training
        steps, without_gain = self._steps(training), PASSES_WITHOUT_GAIN * len(self.rows["train"]) / training.batch_size
        evaluations = min(UNDISTILLED_EVALUATIONS, steps)
        patience = math.ceil(without_gain * evaluations / steps)
        training = training.model_copy(update={"evaluations": evaluations, "patience": patience})
        rows = self.head.rows(self.rows["train"])
        evaluate = self.head.evaluation(
            self.rows["dev"], batch_size=training.batch_size, pad_token_id=self.pad_token_id, dtype=self.dtype
        )
        loss, best = self.head.loss(student), self.head.best
        return student, self._train(
            "undistilled_student", loss, rows, rows.lengths, self._collate, training, evaluate, best
        )

    def _alike(self, split: str) -> np.ndarray | None:
        """Return which rows of a split are the same tokens to both, None where no layers are compared."""
        if not states_compared(self.task.distill, student=False):
            return None
        alike = read_alike(self.rows[split], self.teacher_rows[split], self.teacher_ids)
        if rank() == 0 and len(alike):
            print(f"student  layers are compared on {100 * alike.mean():.1f} % of the rows of {split}", flush=True)
        return alike

    def _collate(self, batch: list[Any], generator: np.random.Generator) -> dict[str, torch.Tensor]:
        collated: dict[str, torch.Tensor] = self.head.collate(batch, self.pad_token_id)
        return collated

    def _with_divergence(self, rows: Any, teacher: TeacherOutputs) -> Reduce | None:
        """Return what keeps the divergence of each target from the teacher beside what the task keeps of its logits.

        At the temperature at which the teacher's likeliest classes were kept; None where all its classes were.
        """
        if teacher.likeliest is None:
            return None
        kept, own = self.head.reduction(rows), divergences(teacher, self.task.distill.temperature)
        return lambda logits, chosen: torch.cat([kept(logits, chosen), own(logits, chosen)], dim=1)

    def _student(self) -> PreTrainedModel:
        student = build_student(
            self.task.student,
            head=self.head.head,
            vocabulary_size=len(self.teacher_ids),
            pad_token_id=self.pad_token_id,
            seed=self.runtime.seed,
            **self.names,
        )
        described: PreTrainedModel = self.head.described(student)
        self.head.start(described, self.rows["train"])
        return described

    def _steps(self, training: TrainingParams) -> int:
        return training.epochs * math.ceil((len(self.rows["train"]) + len(self.rows["transfer"])) / training.batch_size)

    def _train(
        self,
        model: str,
        loss: nn.Module,
        rows: Any,
        lengths: np.ndarray,
        collate: Any,
        training: TrainingParams,
        evaluate: Callable[[nn.Module], dict[str, float]],
        select: Best,
    ) -> list[Record]:
        records = train(
            loss,
            rows,
            collate,
            training=training,
            runtime=self.runtime,
            steps=self._steps(training),
            checkpoints=self.work / model,
            lengths=lengths,
            evaluate=evaluate,
            select=select,
            log=lambda record: self.log({"model": model, **record}),
            name=model.replace("_", " "),
        )
        return [{"model": model, **record} for record in records]
