"""The language model: from random weights, continued from `init_from`, or adopted as it is when max_tokens is 0."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.files import InputError, content_hash
from pipeline.params import Params
from pipeline.params.families import OBJECTIVES as FITTING
from pipeline.processes import local_rank, rank
from pipeline.stage_run import OUTPUT_HASH, stage_run
from pipeline.stages.command import main
from pipeline.training.launching import launch

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from pipeline.objectives.vocabulary import Vocabulary

DEV_SEQUENCES = 128  # read before, during and after training: enough to see the curve, seconds to compute


def run(params: Params, *, tokens: Path, tokenizer: Path, init_from: Path, out: Path, history: Path) -> None:
    """Train on at most `pretrain.max_tokens` tokens of the packed corpus; write a model folder and the history."""
    import numpy as np

    from pipeline.architectures.initial_weights import resolve
    from pipeline.architectures.model_folder import publish_model
    from pipeline.objectives import OBJECTIVES
    from pipeline.tokenization.shards import CACHE, MANIFEST, ShardedRows
    from pipeline.training import runtime
    from pipeline.training.checkpoints import work_folder
    from pipeline.training.history import write_history
    from pipeline.training.prediction import mean_loss
    from pipeline.training.trainer import train

    settings, training, seed = params.pretrain, params.pretrain.training, params.runtime.seed
    dtype = runtime.prepare(params.runtime)
    weights, vocabulary = resolve(params.init_from, init_from), _vocabulary(tokenizer)
    objective = OBJECTIVES[settings.objective]().from_params(settings, vocabulary)
    dev_arrays = _arrays(tokens, objective.arrays, "dev_")
    shards = ShardedRows(tokens / MANIFEST, params.corpus.shards.url) if params.corpus.shards else None
    train_arrays: dict[str, Any] = {"input_ids": shards} if shards else _arrays(tokens, objective.arrays, "")
    rows, dev_rows = objective.rows(**train_arrays), objective.rows(**dev_arrays)
    lengths = _lengths(train_arrays["input_ids"], vocabulary)
    sample = [dev_rows[i] for i in range(min(DEV_SEQUENCES, len(dev_rows)))]
    # at most max_tokens, and a step at least unless none is wanted
    steps = max(min(settings.max_tokens, 1), settings.max_tokens // int(training.batch_size * lengths.mean()))

    def dev_loss(module: "torch.nn.Module") -> dict[str, float]:
        masks = np.random.default_rng([seed, 2])  # the same ones at every evaluation
        size = training.batch_size
        return {"loss": mean_loss(module, sample, objective.collate, batch_size=size, dtype=dtype, generator=masks)}

    chosen = {name: getattr(params, name).model_dump() for name in ("runtime", "init_from", "pretrain")}
    inputs = {"tokens": tokens, "tokenizer": tokenizer} | ({"weights": weights} if weights else {})
    key = {"params": chosen, "inputs": {name: content_hash(path) for name, path in inputs.items()}}
    with work_folder("pretrain", key) as work, stage_run("pretrain", chosen, work) as stage:
        model = _model(params, weights, vocabulary, train_arrays["input_ids"].shape)
        if settings.embeddings == "cooccurrence":
            sequences = train_arrays["input_ids"].reshape(-1, train_arrays["input_ids"].shape[-1])
            _start_embeddings(model, params, sequences, np.flatnonzero(vocabulary.special))
        records = []
        if steps:
            module = objective.loss(model).to(runtime.device())
            records = [{"step": 0, "split": "dev", **dev_loss(module)}]
            stage.log(records[0])
            records += train(
                module,
                rows,
                objective.collate,
                training=training,
                runtime=params.runtime,
                checkpoints=work,
                steps=steps,
                lengths=lengths,
                evaluate=dev_loss,
                log=stage.log,
                name="pretrain",
                order=shards.batches if shards else None,
            )
            print(f"pretrain  dev loss {records[0]['loss']:.3f} before, {records[-1]['loss']:.3f} after", flush=True)
        else:  # no dev loss either: the masked-LM head of adopted weights may be a new one, which tells nothing
            print("pretrain  the weights as they are", flush=True)
        if rank() == 0:
            publish_model(model, tokenizer, out)
            write_history(history, records)
            stage.tags[OUTPUT_HASH] = content_hash(out)
    if shards and local_rank() == 0:
        shutil.rmtree(CACHE, ignore_errors=True)


def _vocabulary(folder: Path) -> "Vocabulary":
    from pipeline.objectives.vocabulary import Vocabulary
    from pipeline.tokenization.folder import load_tokenizer, special_ids

    tokenizer, special_tokens = load_tokenizer(folder)
    return Vocabulary(folder, tokenizer.get_vocab_size(), special_ids(tokenizer, special_tokens))


def _arrays(tokens: Path, names: tuple[str, ...], prefix: str) -> dict[str, Any]:
    import numpy as np

    from pipeline.tokenization.ragged import open_array

    # numpy's class for memory maps takes 5 us more for each row
    arrays = {name: np.asarray(open_array(tokens / f"{prefix}{name}.npy")) for name in names}
    if not len(arrays["input_ids"]):
        raise InputError(f"{tokens}/{prefix}input_ids.npy: 0 sequences, expected a corpus that fills at least one")
    return arrays


def _lengths(input_ids: Any, vocabulary: "Vocabulary") -> Any:
    """Return the tokens of each row, int64 (rows,): packed sequences, (rows, length), carry no padding.

    Of a row of texts, (rows, texts, length), the tokens of all its texts.
    """
    import numpy as np

    if len(input_ids.shape) == 2:
        return np.broadcast_to(np.int64(input_ids.shape[1]), len(input_ids))  # no memory, however many rows
    return (input_ids != vocabulary.ids["pad_token_id"]).sum(axis=(1, 2))


def _model(params: Params, weights: Path | None, vocabulary: "Vocabulary", rows: tuple[int, ...]) -> "PreTrainedModel":
    """Return the model to be trained; `rows` is the shape of the token ids."""
    import torch

    from pipeline.architectures import ARCHITECTURES
    from pipeline.architectures.limits import longest_row

    shape, head, ids = params.pretrain.architecture, params.pretrain.objective, vocabulary.ids
    model: PreTrainedModel
    if shape is not None:
        model = ARCHITECTURES[shape.family]().build(
            shape,
            head=head,
            vocabulary_size=vocabulary.size,
            pad_token_id=ids["pad_token_id"],
            eos_token_id=ids["sep_token_id"],
        )
    else:
        assert weights is not None  # pipeline.params refuses random weights without an architecture
        model = _loaded(weights, head, ids["pad_token_id"])
        if 0 < vocabulary.size - model.config.vocab_size <= len(params.tokenizer.markers):
            torch.manual_seed(params.runtime.seed)
            model.resize_token_embeddings(vocabulary.size, mean_resizing=False)
        if head == "contrastive" and rows[1] == 1 and not model.config.hidden_dropout_prob:
            raise InputError(
                f"init_from: {weights}/config.json: hidden_dropout_prob is 0, expected more for contrastive, else both "
                "readings of a sentence are the same"
            )
    if model.config.vocab_size < vocabulary.size:
        raise InputError(
            f"init_from: {model.config.vocab_size} word embeddings, expected the {vocabulary.size} of its tokenizer"
        )
    limit = longest_row(model.config.to_dict())
    if limit is not None and limit < rows[-1]:
        raise InputError(f"corpus.sequence_length: must be <= {limit}, the positions of the model, got {rows[-1]}")
    return model


def _loaded(weights: Path, head: str, pad_token_id: int) -> "PreTrainedModel":
    from pipeline.architectures import ARCHITECTURES, family_of

    family = family_of(weights)
    if not FITTING[family]:
        raise InputError(f"init_from: {weights} holds a {family}, expected a family that can be a language model")
    if head not in FITTING[family]:
        raise InputError(
            f"pretrain.objective: must be {' or '.join(FITTING[family])} for the {family} of init_from, got {head}"
        )
    model: PreTrainedModel = ARCHITECTURES[family]().load(weights, head=head)
    if (
        model.config.pad_token_id is None
    ):  # GPT-2 and Llama have none: the adopted tokenizer's may be one behind its vocabulary
        model.config.pad_token_id = pad_token_id
        model.resize_token_embeddings(max(model.config.vocab_size, pad_token_id + 1), mean_resizing=False)
    return model


def _start_embeddings(model: "PreTrainedModel", params: Params, input_ids: Any, special: Any) -> None:
    """Start the word embeddings from the corpus; tokens that it never shows keep their random ones."""
    import torch
    from threadpoolctl import threadpool_limits

    from pipeline.tokenization.cooccurrence import cooccurrence_embeddings

    words: Any = model.get_input_embeddings().weight
    size, width = words.shape
    with threadpool_limits(params.runtime.threads):  # the sums depend on them as torch's do
        found = cooccurrence_embeddings(input_ids, special, vocabulary_size=size, width=width, seed=params.runtime.seed)
    seen = found.any(axis=1)
    with torch.no_grad():
        words[torch.from_numpy(seen)] = torch.from_numpy(found[seen])
    print(f"pretrain  {seen.sum():,} of {size:,} word embeddings start from the corpus", flush=True)


if __name__ == "__main__":
    main(run, launch)
