"""Cut a WordPiece vocabulary down to the pieces that a task's text uses most."""

import re

import numpy as np
from tokenizers import Tokenizer, models

from pipeline.tokenization.folder import assemble

_PLACEHOLDER = re.compile(r"\[unused\d+\]")  # BERT's reserved rows: no text is ever spelled with them


def cut_vocabulary(
    tokenizer: Tokenizer, special_tokens: dict[str, str], counts: np.ndarray, vocabulary_size: int
) -> tuple[Tokenizer, np.ndarray]:
    """Return a tokenizer with `vocabulary_size` pieces of `tokenizer` and, for each of its ids, the id it had.

    counts: how often each id of `tokenizer` stands in the task's text, shape (vocabulary,).

    Special tokens, markers and single characters, `x` and `##x`, are kept, so that a word is still spelled where its
    long pieces are gone; then come the most frequent pieces, earlier ids first among equals. Ids keep their order.
    Raises ValueError where the tokenizer is no WordPiece or the size is not one it can be cut to.
    """
    model = tokenizer.model
    if not isinstance(model, models.WordPiece):
        raise ValueError(f"{vocabulary_size}, expected null unless the teacher's tokenizer is a WordPiece")
    prefix = model.continuing_subword_prefix
    pieces = {i: piece for piece, i in tokenizer.get_vocab().items() if not _PLACEHOLDER.fullmatch(piece)}
    frames = set(special_tokens.values())
    markers = {i: token for i, token in tokenizer.get_added_tokens_decoder().items() if token.content not in frames}
    required = {
        i for i, piece in pieces.items() if i in markers or piece in frames or len(piece.removeprefix(prefix)) <= 1
    }
    if not len(required) <= vocabulary_size <= len(pieces):
        raise ValueError(
            f"{vocabulary_size}, expected {len(required)} (single characters and special tokens) "
            f"to {len(pieces)} (the teacher's pieces)"
        )
    ranked = sorted(pieces.keys() - required, key=lambda i: (-counts[i], i))
    kept = sorted(required | set(ranked[: vocabulary_size - len(required)]))
    student_model = models.WordPiece(
        {pieces[teacher_id]: student_id for student_id, teacher_id in enumerate(kept)},
        unk_token=model.unk_token,
        continuing_subword_prefix=prefix,
        max_input_chars_per_word=model.max_input_chars_per_word,
    )
    student = assemble(student_model, special_tokens, tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder)
    student.add_special_tokens([token for _, token in sorted(markers.items())])
    return student, np.array(kept, dtype=np.int64)
