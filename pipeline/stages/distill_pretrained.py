"""The student before it has a task: it learns from the language model to predict masked tokens of the corpus.

Optional. Source: Sanh et al. 2019 (DistilBERT), section 3; with the losses of TinyBERT or MiniLM it is their general
distillation. `distill` starts from what comes out.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.files import InputError, content_hash, replacing, stable_hash, write_json
from pipeline.params import DistillPretrainedParams, Params
from pipeline.processes import rank
from pipeline.stage_run import OUTPUT_HASH, stage_run
from pipeline.stages.command import main
from pipeline.training.launching import launch

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch

    from pipeline.distillation.teacher_outputs import TeacherOutputs
    from pipeline.objectives.vocabulary import Vocabulary
    from pipeline.tokenization.ragged import TokenRows

TEACHER_CACHE = Path(".stillhouse/teacher_cache")
DEV_SEQUENCES = 128  # as `pretrain` reads
RECORD = "distill_pretrained.json"  # alone in the folder where nothing was trained


def run(params: Params, *, task: str, tokens: Path, pretrained: Path, out: Path, history: Path) -> None:
    """Train the encoder of a task's student by the language model in `pretrained`; a record alone where none is wanted.

    tokens: the packed corpus, whose masks are drawn once. The best state is the one nearest to its teacher on dev.
    """
    section = params.tasks[task].student.distill_pretrained
    if section is None:
        _leave_a_record(out, history)
        return

    import numpy as np

    from pipeline.architectures.model_folder import publish_model
    from pipeline.architectures.shape import shape_of
    from pipeline.distillation.lessons import DistillationLoss, Lessons, with_teacher
    from pipeline.distillation.student import build_student, check_shapes, start_from_teacher
    from pipeline.tasks.labelling import LabellingTask
    from pipeline.training import ranks, runtime
    from pipeline.training.checkpoints import work_folder
    from pipeline.training.history import write_history
    from pipeline.training.trainer import train

    student_params, seed, dtype = params.tasks[task].student, params.runtime.seed, runtime.prepare(params.runtime)
    shape = shape_of(pretrained)
    check_shapes(task, params.tasks[task], shape)
    vocabulary = _vocabulary(pretrained)
    rows = _masked_corpus(params, section.max_tokens, tokens, vocabulary)
    outputs = ranks.one_first(lambda: _teacher_outputs(params, section, rows, tokens, pretrained, dtype))
    head = LabellingTask([])  # each masked token is a target, the words are its classes
    lessons: Any = Lessons(head.rows(rows["train"]), outputs["train"])
    pad_token_id = vocabulary.ids["pad_token_id"]

    def collate(batch: list[Any], _: np.random.Generator) -> "dict[str, torch.Tensor]":
        masked, said = zip(*batch, strict=True)
        return with_teacher(head.collate(masked, pad_token_id), said)

    chosen = {"student": student_params.model_dump(), "pretrain": params.pretrain.model_dump()}
    inputs = [content_hash(folder) for folder in (tokens, pretrained)]
    key = {"params": chosen, "runtime": params.runtime.model_dump(), "inputs": inputs}
    with (
        work_folder(f"distill_pretrained-{task}", key) as work,
        stage_run(f"distill_pretrained@{task}", chosen, work) as stage,
    ):
        student = build_student(
            student_params,
            head="masked_lm",
            vocabulary_size=shape.vocabulary_size or vocabulary.size,
            pad_token_id=pad_token_id,
            seed=seed,
        )
        start_from_teacher(student, student_params, pretrained, np.arange(student.config.vocab_size))
        records = train(
            DistillationLoss(head, student, section, shape.hidden_size),
            lessons,
            collate,
            training=section.training,
            runtime=params.runtime,
            checkpoints=work,
            lengths=rows["train"].lengths,
            evaluate=_nearness(section, rows["dev"], outputs["dev"], pad_token_id, dtype),
            select=("divergence", "min"),
            log=stage.log,
            name="distill pretrained",
        )
        if rank() == 0:
            publish_model(student, pretrained, out)
            write_history(history, records)
            stage.tags[OUTPUT_HASH] = content_hash(out)


def _leave_a_record(out: Path, history: Path) -> None:
    if rank() == 0:
        with replacing(out) as draft:
            draft.mkdir()
            write_json(draft / RECORD, {"trained": False, "reason": "params.yaml asks for none"})
        write_json(history, [])
        print("distill_pretrained: none, params.yaml asks for none", flush=True)


def _nearness(
    section: DistillPretrainedParams,
    dev: "TokenRows",
    said: "TeacherOutputs",
    pad_token_id: int,
    dtype: "torch.dtype",
) -> "Callable[[torch.nn.Module], dict[str, float]]":
    """Return the figure by which the best state is chosen: how far the student is from its teacher on dev."""
    from pipeline.distillation.lessons import divergences
    from pipeline.training.prediction import predict_logits

    distance = divergences(said, section.temperature)

    def evaluate(module: "torch.nn.Module") -> dict[str, float]:
        model: Any = module.model
        size = section.training.batch_size
        found = predict_logits(model, dev, batch_size=size, pad_token_id=pad_token_id, dtype=dtype, reduce=distance)
        return {"divergence": float(found.mean())}

    return evaluate


def _vocabulary(folder: Path) -> "Vocabulary":
    from pipeline.objectives.vocabulary import Vocabulary
    from pipeline.tokenization.folder import load_tokenizer, special_ids

    tokenizer, special_tokens = load_tokenizer(folder)
    return Vocabulary(folder, tokenizer.get_vocab_size(), special_ids(tokenizer, special_tokens))


def _masked_corpus(params: Params, max_tokens: int, tokens: Path, vocabulary: "Vocabulary") -> "dict[str, TokenRows]":
    """Return the sequences of the packed corpus with tokens masked, whose true ids are labels; of dev a sample."""
    import numpy as np

    from pipeline.objectives.masking import Masking
    from pipeline.tokenization.ragged import TokenRows, open_array

    masking, found = Masking.from_params(params.pretrain, vocabulary), {}
    dev = np.asarray(open_array(tokens / "dev_input_ids.npy")[:DEV_SEQUENCES])
    splits = {"train": _train_sequences(params, max_tokens, tokens), "dev": dev}
    for number, (split, ids) in enumerate(splits.items()):
        if not len(ids):
            raise InputError(f"{tokens}: 0 sequences of {split} within {max_tokens} tokens, expected at least one")
        masked, places = masking.apply(ids, np.random.default_rng([params.runtime.seed, 3 + number]))
        rows, length = ids.shape
        found[split] = TokenRows(
            ids=masked.astype(ids.dtype).ravel(),
            offsets=np.arange(rows + 1, dtype=np.int64) * length,
            labels=ids[places].astype(np.int64),
            targets=np.concatenate([[0], np.cumsum(places.sum(axis=1))]).astype(np.int64),
            positions=np.nonzero(places)[1].astype(np.int64),
            seconds=np.full(rows, length, dtype=np.int64),
            owners=np.arange(rows, dtype=np.int64),
        )
    return found


def _train_sequences(params: Params, max_tokens: int, tokens: Path) -> "np.ndarray":
    """Return the first sequences of the packed corpus, (rows, length), those of one in shards as well."""
    import numpy as np

    from pipeline.tokenization.ragged import open_array
    from pipeline.tokenization.shards import MANIFEST, ShardedRows

    limit, shards = max_tokens // params.corpus.sequence_length, params.corpus.shards
    if shards is None:
        return np.asarray(open_array(tokens / "input_ids.npy")[:limit])
    with tempfile.TemporaryDirectory() as cache:
        rows = ShardedRows(tokens / MANIFEST, shards.url, Path(cache))
        return np.asarray([rows[row] for row in range(min(limit, len(rows)))])


def _teacher_outputs(
    params: Params,
    section: DistillPretrainedParams,
    rows: "dict[str, TokenRows]",
    tokens: Path,
    pretrained: Path,
    dtype: "torch.dtype",
) -> "dict[str, TeacherOutputs]":
    from pipeline.architectures import ARCHITECTURES, family_of
    from pipeline.distillation.lessons import states_compared
    from pipeline.distillation.teacher_cache import Likeliest, cached_outputs

    masks = [params.pretrain.model_dump(), params.runtime.seed, section.max_tokens]
    return cached_outputs(
        rows,
        lambda: ARCHITECTURES[family_of(pretrained)]().load(pretrained, head="masked_lm"),
        folder=TEACHER_CACHE,
        inputs={
            "teacher": content_hash(pretrained),
            "tokens": content_hash(tokens),
            "masks": stable_hash(masks),
        },
        states=states_compared(section, student=False),
        dtype=dtype,
        likeliest=Likeliest(section.likeliest, section.temperature),
        engine=params.engine,
    )


if __name__ == "__main__":
    main(run, launch)
