"""Any params.yaml at the scale of a smoke test: the same chain of stages, on so little that it ends in a minute."""

import copy
from typing import Any

TASK_ROWS, CORPUS_ROWS, ROWS_OF_A_CLASS = 400, 200, 40
PRETRAINING_TOKENS, PRETRAINING_BATCH = 2_500, 8
TRANSFER_SENTENCES = 200
VOCABULARY = 1_000
WRITTEN_TOKENS = 20
SMALL = {"hidden_size": 64, "attention_heads": 2, "intermediate_size": 128}


def at_smoke_scale(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a params.yaml with fewer rows, tokens and epochs, and narrow models where weights are new.

    Layers stay, so that whatever pairs them still does; the results mean nothing.
    """
    values = copy.deepcopy(values)
    labelled = {task["dataset"] for task in values["tasks"].values()}
    for name, dataset in values["datasets"].items():
        labelled_rows = {"label", "labels"} & set(dataset["columns"])
        classes = len(set((dataset["labels"] or {}).values())) if labelled_rows else 0
        rows = max(TASK_ROWS, ROWS_OF_A_CLASS * classes) if name in labelled else CORPUS_ROWS
        dataset["max_rows"] = min(dataset["max_rows"] or rows, rows)

    pretrain, tokenizer = values["pretrain"], values["tokenizer"]
    pretrain["max_tokens"] = min(pretrain["max_tokens"], PRETRAINING_TOKENS)
    pretrain["training"].update(evaluations=1, batch_size=min(pretrain["training"]["batch_size"], PRETRAINING_BATCH))
    from_nothing = pretrain["architecture"] is not None
    if from_nothing:
        _narrow(pretrain["architecture"])
    if tokenizer["vocabulary_size"] is not None:
        tokenizer["vocabulary_size"] = min(tokenizer["vocabulary_size"], VOCABULARY)

    for task in values["tasks"].values():
        _shrink_task(task, narrow=from_nothing)
    return values


def _shrink_task(task: dict[str, Any], *, narrow: bool) -> None:
    for texts in ("sentences", "recombined", "replaced"):
        task["transfer"][texts] = min(task["transfer"].get(texts, 0), TRANSFER_SENTENCES)
    for stage in ("finetune", "distill"):
        task[stage]["training"].update(epochs=1, evaluations=1, patience=None)
    if before := task["student"].get("distill_pretrained"):
        before["max_tokens"] = min(before["max_tokens"], PRETRAINING_TOKENS)
        before["training"].update(epochs=1, evaluations=1, patience=None, batch_size=PRETRAINING_BATCH)
        if narrow and before["relation_heads"] is not None:
            before["relation_heads"] = SMALL["attention_heads"]
    if task.get("generation"):
        task["generation"].update(max_tokens=min(task["generation"]["max_tokens"], WRITTEN_TOKENS), beams=1)
    if narrow:
        _narrow(task["student"]["architecture"])
        if task["distill"]["relation_heads"] is not None:  # they have to divide the widths
            task["distill"]["relation_heads"] = SMALL["attention_heads"]
        if task["student"]["vocabulary_size"] is not None:
            task["student"]["vocabulary_size"] = min(task["student"]["vocabulary_size"], VOCABULARY)
    task["evaluate"]["bootstrap_samples"] = min(task["evaluate"]["bootstrap_samples"], 200)
    task["gate"]["min_rows"] = min(task["gate"]["min_rows"], 20)


def _narrow(architecture: dict[str, Any]) -> None:
    architecture.update({size: width for size, width in SMALL.items() if architecture[size] is not None})
