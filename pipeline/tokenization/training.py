"""Train a tokenizer on text: WordPiece as BERT's or byte-level BPE as GPT-2's, the same bytes at every run."""

from collections import Counter
from collections.abc import Callable, Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from pipeline.files import InputError
from pipeline.tokenization.folder import SPECIAL_TOKENS, assemble

Batches = Callable[[], Iterable[list[str]]]

PREFIX = "##"
ALPHABET_SHARE = 1 / 4  # of the vocabulary; every character takes two pieces, itself and its ## form


def train_wordpiece(texts: Batches, vocabulary_size: int, lowercase: bool, min_frequency: int) -> Tokenizer:
    """Train BERT's WordPiece on `texts()`, an iterable of batches of documents that is read twice.

    The trainer of `tokenizers` numbers the characters in the order of a hash map, which differs from run to run and
    with it every tie between merges. Characters given as special tokens keep their numbers, so the alphabet is given
    that way; the vocabulary is then put into a fresh model, where characters are ordinary pieces.

    Sources: Schuster & Nakajima 2012; Devlin et al. 2019, section 3 and appendix A.
    Raises InputError where the texts give fewer pieces than `vocabulary_size`.
    """
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    characters = _alphabet(texts(), normalizer, min_frequency, int(vocabulary_size * ALPHABET_SHARE))
    reserved = [*SPECIAL_TOKENS.values(), *characters, *(PREFIX + character for character in characters)]

    draft = Tokenizer(models.WordPiece(unk_token=SPECIAL_TOKENS["unk_token"]))
    draft.normalizer, draft.pre_tokenizer = normalizer, pre_tokenizer
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size,
        min_frequency=min_frequency,
        limit_alphabet=0,
        special_tokens=reserved,
        continuing_subword_prefix=PREFIX,
        show_progress=False,
    )
    draft.train_from_iterator(texts(), trainer)
    vocabulary = draft.get_vocab()
    _check_size(len(vocabulary), vocabulary_size, min_frequency)

    model = models.WordPiece(
        vocabulary,
        unk_token=SPECIAL_TOKENS["unk_token"],
        continuing_subword_prefix=PREFIX,
        max_input_chars_per_word=100,
    )
    return assemble(model, SPECIAL_TOKENS, normalizer, pre_tokenizer, decoders.WordPiece(prefix=PREFIX))


def train_bpe(texts: Batches, vocabulary_size: int, lowercase: bool, min_frequency: int) -> Tokenizer:
    """Train byte-level BPE on `texts()`; every text can be spelled, no piece is unknown.

    Sources: Sennrich et al. 2016; Radford et al. 2019, section 2.2.
    Raises InputError where the texts give fewer or, with the 256 bytes, need more pieces than `vocabulary_size`.
    """
    steps = [normalizers.NFC(), *([normalizers.Lowercase()] if lowercase else [])]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    smallest = len(SPECIAL_TOKENS) + len(pre_tokenizers.ByteLevel.alphabet())
    if vocabulary_size < smallest:
        raise InputError(
            f"tokenizer.vocabulary_size: {vocabulary_size}, expected at least {smallest} for kind bpe "
            "(256 bytes and the special tokens)"
        )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=min_frequency,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(SPECIAL_TOKENS.values()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    _check_size(tokenizer.get_vocab_size(), vocabulary_size, min_frequency)
    return assemble(
        tokenizer.model, SPECIAL_TOKENS, tokenizer.normalizer, tokenizer.pre_tokenizer, decoders.ByteLevel()
    )


def _alphabet(
    texts: Iterable[list[str]], normalizer: normalizers.Normalizer, min_frequency: int, limit: int
) -> list[str]:
    """Return the `limit` most frequent characters that stand at least `min_frequency` times, in code point order.

    The normalizer treats characters one by one, so each distinct one is normalized once instead of the whole text.
    """
    raw: Counter[str] = Counter()
    for batch in texts:
        raw.update("".join(batch))
    counts: Counter[str] = Counter()
    for character, count in raw.items():
        for normalized in normalizer.normalize_str(character):
            counts[normalized] += count
    frequent = [character for character in counts if counts[character] >= min_frequency and not character.isspace()]
    return sorted(sorted(frequent, key=lambda character: (-counts[character], character))[:limit])


def _check_size(found: int, wanted: int, min_frequency: int) -> None:
    if found < wanted:
        raise InputError(
            f"tokenizer.vocabulary_size: {wanted}, expected at most {found}, which is all the corpus gives "
            f"with tokenizer.min_frequency {min_frequency}"
        )
