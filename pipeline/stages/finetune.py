"""The teacher: a classification head on the language model, trained end to end on the labelled rows."""

from pathlib import Path

from pipeline.params import Params
from pipeline.processes import rank
from pipeline.stages.command import main
from pipeline.training.launching import launch


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

    It learns from the rows of `train` and, where there are any, those of `counterfactuals`.
    """
    from pipeline.architectures.model_folder import publish_model
    from pipeline.files import content_hash
    from pipeline.tasks import TASKS
    from pipeline.tokenization.folder import load_tokenizer, special_ids
    from pipeline.tokenization.ragged import TokenRows
    from pipeline.tracking import OUTPUT_HASH, stage_run
    from pipeline.training import runtime, trainer
    from pipeline.training.checkpoints import work_folder
    from pipeline.training.history import write_history

    finetune, dtype = params.tasks[task].finetune, runtime.prepare(params.runtime)
    train_rows, about_others, dev_rows = (TokenRows.load(folder) for folder in (train, counterfactuals, dev))
    if len(about_others):
        train_rows = train_rows.followed_by(about_others)
    head = TASKS[params.tasks[task].type]().from_params(params.tasks[task])
    model = head.from_pretrained(pretrained, dropout=finetune.dropout, seed=params.runtime.seed)
    if params.tasks[task].generation is not None:  # a text that is written ends as the tokenizer has it
        model.config.eos_token_id = special_ids(*load_tokenizer(pretrained))["sep_token_id"]
    model = head.described(model)
    head.start(model, train_rows)
    pad_token_id = model.config.pad_token_id
    key = {
        "params": finetune.model_dump(),
        "runtime": params.runtime.model_dump(),
        "labels": head.labels,
        "inputs": [content_hash(folder) for folder in (pretrained, train, counterfactuals, dev)],
    }
    with (
        work_folder(f"finetune-{task}", key) as folder,
        stage_run(f"finetune@{task}", finetune.model_dump(), folder) as tracked,
    ):
        records = trainer.train(
            head.loss(model, finetune.label_smoothing, finetune.consistency),
            head.rows(train_rows),
            lambda rows, generator: head.collate(rows, pad_token_id),
            training=finetune.training,
            runtime=params.runtime,
            checkpoints=folder,
            lengths=head.rows(train_rows).lengths,
            evaluate=head.evaluation(
                dev_rows, batch_size=finetune.training.batch_size, pad_token_id=pad_token_id, dtype=dtype
            ),
            select=head.best,
            log=tracked.log,
            name=f"finetune {task}",
        )
        if rank() == 0:
            publish_model(model, pretrained, out)
            write_history(history, records)
            tracked.tags[OUTPUT_HASH] = content_hash(out)


if __name__ == "__main__":
    main(run, launch)
