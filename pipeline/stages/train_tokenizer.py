"""train_tokenizer: a tokenizer from the training split of the corpus, or the one that comes with `init_from`."""

from pathlib import Path

from pipeline.architectures.initial_weights import resolve
from pipeline.files import replacing
from pipeline.params import Params
from pipeline.stages.command import main
from pipeline.tokenization.adoption import adopt_tokenizer
from pipeline.tokenization.folder import SPECIAL_TOKENS, add_markers, save_tokenizer
from pipeline.tokenization.table import written_batches
from pipeline.tokenization.training import train_bpe, train_wordpiece


def run(params: Params, *, corpus: Path, init_from: Path, out: Path) -> None:
    """Write a Hugging Face tokenizer folder to `out`: trained on `corpus`/train.parquet, or adopted."""
    settings, architecture = params.tokenizer, params.pretrain.architecture
    weights = resolve(params.init_from, init_from)
    if weights is not None:
        tokenizer, special_tokens, max_length = adopt_tokenizer(weights)
    else:
        # pipeline.params refuses random weights without a shape and a trained tokenizer without its three values
        assert architecture is not None and settings.vocabulary_size is not None
        assert settings.lowercase is not None and settings.min_frequency is not None
        train = train_wordpiece if settings.kind == "wordpiece" else train_bpe
        texts = corpus / "train.parquet"
        tokenizer = train(
            lambda: written_batches(texts), settings.vocabulary_size, settings.lowercase, settings.min_frequency
        )
        special_tokens, max_length = SPECIAL_TOKENS, architecture.max_length
    add_markers(tokenizer, special_tokens, settings.markers)
    with replacing(out) as draft:
        save_tokenizer(tokenizer, special_tokens, max_length, draft)
    print(f"train_tokenizer  {tokenizer.get_vocab_size():,} pieces, rows up to {max_length} tokens", flush=True)


if __name__ == "__main__":
    main(run)
