"""The teacher: a classification head on the language model, trained end to end on the labelled rows; or several."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.params import Params
from pipeline.processes import rank
from pipeline.stages.command import main
from pipeline.training.launching import launch

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from pipeline.tokenization.ragged import TokenRows


Record = dict[str, Any]


def run(
    params: Params,
    *,
    task: str,
    pretrained: Path,
    train: Path,
    counterfactuals: Path,
    dev: Path,
    out: Path,
    history: Path,
) -> None:
    """Fine-tune the language model in `pretrained` for a task and keep the state that is best on dev.

    It learns from the rows of `train` and, where there are any, those of `counterfactuals`. Of several teachers the
    first has the project's seed and lies in `out`, the others in folders there.
    """
    from pipeline.architectures.model_folder import publish_model
    from pipeline.files import content_hash
    from pipeline.stage_run import OUTPUT_HASH, stage_run
    from pipeline.tokenization.ragged import TokenRows
    from pipeline.training import runtime
    from pipeline.training.checkpoints import work_folder
    from pipeline.training.history import write_history

    dtype = runtime.prepare(params.runtime)  # first, as several processes meet there
    finetune, first = params.tasks[task].finetune, params.runtime.seed
    train_rows, about_others, dev_rows = (TokenRows.load(folder) for folder in (train, counterfactuals, dev))
    if len(about_others):
        train_rows = train_rows.followed_by(about_others)
    key = {
        "params": finetune.model_dump(),
        "runtime": params.runtime.model_dump(),
        "labels": params.tasks[task].labels,
        "inputs": [content_hash(folder) for folder in (pretrained, train, counterfactuals, dev)],
    }
    with (
        work_folder(f"finetune-{task}", key) as folder,
        stage_run(f"finetune@{task}", finetune.model_dump(), folder) as tracked,
    ):
        teachers: dict[int, PreTrainedModel] = {}
        records: list[Record] = []
        for seed in range(first, first + finetune.teachers):
            teachers[seed], found = _teacher(
                params, task, seed, pretrained, train_rows, dev_rows, dtype, folder, tracked.log
            )
            records += found
        if rank() == 0:
            publish_model(teachers.pop(first), pretrained, out, teachers)
            write_history(history, records)
            tracked.tags[OUTPUT_HASH] = content_hash(out)


def _teacher(
    params: Params,
    task: str,
    seed: int,
    pretrained: Path,
    train: "TokenRows",
    dev: "TokenRows",
    dtype: "torch.dtype",
    work: Path,
    log: Callable[[Record], None],
) -> "tuple[PreTrainedModel, list[Record]]":
    """Return a trained teacher, whose new weights, order of rows and dropout `seed` draws, and its history."""
    from pipeline.tasks import TASKS
    from pipeline.tokenization.folder import load_tokenizer, special_ids
    from pipeline.training import trainer

    section, finetune = params.tasks[task], params.tasks[task].finetune
    head = TASKS[section.type]().from_params(section)
    model = head.from_pretrained(pretrained, dropout=finetune.dropout, seed=seed)
    if section.generation is not None:  # a text that is written ends as the tokenizer has it
        model.config.eos_token_id = special_ids(*load_tokenizer(pretrained))["sep_token_id"]
    model = head.described(model)
    head.start(model, train)
    pad_token_id = model.config.pad_token_id
    named = {"model": f"seed_{seed}"} if finetune.teachers > 1 else {}
    records = trainer.train(
        head.loss(model, finetune.label_smoothing, finetune.consistency),
        head.rows(train),
        lambda rows, generator: head.collate(rows, pad_token_id),
        training=finetune.training,
        runtime=params.runtime.model_copy(update={"seed": seed}),
        checkpoints=work / named.get("model", ""),
        lengths=head.rows(train).lengths,
        evaluate=head.evaluation(dev, batch_size=finetune.training.batch_size, pad_token_id=pad_token_id, dtype=dtype),
        select=head.best,
        log=lambda record: log(named | record),
        name=f"finetune {task}" if seed == params.runtime.seed else f"finetune {task}, seed {seed}",
    )
    return model, [named | record for record in records]


if __name__ == "__main__":
    main(run, launch)
