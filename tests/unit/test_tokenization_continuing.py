"""Texts that a model goes on with: framed, cut into windows, every token predicted once."""

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from pipeline.tokenization.continuing import encode_continued, frame_prompts
from pipeline.tokenization.folder import SPECIAL_TOKENS, save_tokenizer
from pipeline.tokenization.ragged import TokenRows
from pipeline.tokenization.training import train_bpe

END = SPECIAL_TOKENS["sep_token"]
TEXTS = ["the play\n\nthe king, the queen and all the players of it", "a", "to be or not to be"]


@pytest.fixture
def tokenizer() -> Tokenizer:
    return train_bpe(lambda: iter([TEXTS]), 270, lowercase=False, min_frequency=2)


def predicted(rows: TokenRows, owner: int) -> list[int]:
    """The labels of all windows of a row of the table, each checked to be the id behind its position."""
    found = []
    for row in range(len(rows)):
        own = slice(rows.targets[row], rows.targets[row + 1])
        assert rows[row][rows.positions[own] + 1].tolist() == rows.labels[own].tolist()
        found += rows.labels[own].tolist() if rows.owners[row] == owner else []
    return found


@pytest.mark.parametrize("max_length", [2, 3, 5, 8, 100])
def test_every_token_and_the_end_are_predicted_once_however_long_a_window_is(
    tokenizer: Tokenizer, max_length: int
) -> None:
    rows, end = encode_continued(tokenizer, TEXTS, [None] * 3, max_length, END), tokenizer.token_to_id(END)
    assert rows.lengths.max() <= max_length
    assert len(set(rows.owners.tolist())) == 3 and (rows.owners[1:] >= rows.owners[:-1]).all()
    for owner, text in enumerate(TEXTS):
        assert predicted(rows, owner) == [*tokenizer.encode(text, add_special_tokens=False).ids, end]
    first = rows.owners.tolist().index(0)
    assert rows[first][0] == end
    assert (len(rows) == 3) == (max_length == 100)


def test_of_a_row_with_a_completion_that_alone_is_predicted_and_the_end_of_its_prompt_read(
    tokenizer: Tokenizer,
) -> None:
    end = tokenizer.token_to_id(END)
    text, completion = (tokenizer.encode(words, add_special_tokens=False).ids for words in (TEXTS[0], "to be"))
    rows = encode_continued(tokenizer, [TEXTS[0], TEXTS[0]], ["to be", ""], 12, END)
    assert rows[0].tolist() == [end, *text[len(text) - (12 - 3 - len(completion)) :], end, *completion, end]
    assert predicted(rows, 0) == [*completion, end]
    assert predicted(rows, 1) == [end]
    long = encode_continued(tokenizer, ["to be"], [TEXTS[0]], 12, END)  # its windows go on without the prompt
    assert predicted(long, 0) == [*text, end]
    assert long.lengths.max() == 12 and set(long.owners.tolist()) == {0}


@pytest.mark.parametrize("completed", [False, True])
def test_the_saved_tokenizer_reads_a_prompt_as_training_does_and_keeps_its_end(
    tokenizer: Tokenizer, completed: bool, tmp_path: pytest.TempPathFactory
) -> None:
    end, ids = tokenizer.token_to_id(END), tokenizer.encode(TEXTS[0], add_special_tokens=False).ids
    frame_prompts(tokenizer, END, completed=completed)
    save_tokenizer(tokenizer, SPECIAL_TOKENS, 9, tmp_path, keep_end=True)  # type: ignore[arg-type]
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    last = [end] if completed else []
    assert loaded(TEXTS[0])["input_ids"] == [end, *ids, *last]
    assert loaded(TEXTS[0], truncation=True)["input_ids"] == [end, *ids[len(ids) - (8 - len(last)) :], *last]
    batch = loaded([TEXTS[0], "a"], padding=True)
    assert batch["attention_mask"][1][0] == 0 and batch["attention_mask"][1][-1] == 1
