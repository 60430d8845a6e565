"""Going on with texts: transformers' own loss, nats by rows of the table, the same continuation for the same text."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from pipeline.evaluation.figures import FIGURES
from pipeline.params import GenerationParams
from pipeline.tasks.generation import continuations
from pipeline.tasks.text_generation import TextGeneration
from pipeline.tokenization.ragged import TokenRows
from pipeline.training.batches import collate_rows, row_at
from pipeline.training.prediction import predict_logits

VOCABULARY, END = 20, 3
DRAWN = GenerationParams(max_tokens=5, beams=1, length_penalty=0.0, temperature=1.0, top_p=0.9)


def rows() -> TokenRows:
    """Two windows of one text, and a prompt of three tokens with a completion of two."""
    windows, starts = [[END, 5, 6, 7], [7, 8, END], [END, 9, 10, END, 11, 12, END]], [0, 0, 3]
    predicting = [np.arange(start, len(window) - 1) for start, window in zip(starts, windows, strict=True)]
    lengths = np.array([len(window) for window in windows])
    return TokenRows(
        ids=np.concatenate(windows).astype(np.uint16),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=np.concatenate([np.array(w)[p + 1] for w, p in zip(windows, predicting, strict=True)]),
        targets=np.cumsum([0, *map(len, predicting)]),
        positions=np.concatenate(predicting),
        seconds=lengths,
        owners=np.array([0, 0, 1]),
    )


def model() -> GPT2LMHeadModel:
    torch.manual_seed(1)
    shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16, "attn_pdrop": 0.0, "initializer_range": 0.3}
    built = GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, pad_token_id=0, bos_token_id=None, eos_token_id=END, **shape)
    )
    built.config.eos_token_id = END
    TextGeneration(DRAWN).described(built)
    return built.eval()


def llama() -> LlamaForCausalLM:
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    ids = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": END}
    return LlamaForCausalLM(LlamaConfig(**shape, **ids, initializer_range=0.3)).eval()


def own_loss(of: PreTrainedModel, tokens: TokenRows, row: int) -> float:
    """What the model itself says of a row, with -100 for labels on what is not predicted."""
    ids = torch.from_numpy(tokens[row].astype(np.int64)).unsqueeze(0)
    labels = torch.full_like(ids, -100)
    own = slice(tokens.targets[row], tokens.targets[row + 1])
    labels[0, tokens.positions[own] + 1] = torch.from_numpy(tokens.labels[own])
    return of(input_ids=ids, labels=labels).loss.item() * int(np.diff(tokens.targets)[row])


@pytest.mark.parametrize("build", [model, llama])
def test_the_loss_is_transformers_own_on_the_completion_alone(build: Callable[[], PreTrainedModel]) -> None:
    task, tokens, of = TextGeneration(DRAWN), rows(), build()
    batch = collate_rows([row_at(tokens, row) for row in range(3)], pad_token_id=0)
    found = task.loss(of)(**batch)
    assert int(found["count"]) == 3 + 2 + 3
    assert found["loss"].item() == pytest.approx(sum(own_loss(of, tokens, row) for row in range(3)), rel=1e-5)


def test_nats_are_summed_over_the_windows_of_a_row() -> None:
    task, tokens, of = TextGeneration(DRAWN), rows(), model()
    kept = predict_logits(of, tokens, batch_size=2, pad_token_id=0, dtype=torch.float32, reduce=task.reduction(tokens))
    assert kept.shape == (8, 1)
    assert task.score(kept, tokens)["loss"] == pytest.approx(sum(own_loss(of, tokens, r) for r in range(3)) / 8, 1e-5)
    measured = task.measured_against([None, "xyz"], tokens, ["abcd", "a prompt"])
    assert measured.tolist() == [[4, 5], [3, 3]]  # characters of what is predicted; tokens, the end among them


def test_bits_per_character_and_perplexity_are_the_hand_computed_values() -> None:
    # 6 bits for 4 characters in 3 tokens, 2 bits for 1 character in 1 token
    actual, nats = np.array([[4, 3], [1, 1]]), np.log(2) * np.array([6.0, 2.0])
    bits, perplexity = (FIGURES[name] for name in ("bits_per_character", "perplexity"))
    sums = bits.counts(actual, nats).sum(axis=0)
    assert bits.of(sums) == pytest.approx(8 / 5, abs=1e-6) and bits.sign == -1
    assert perplexity.of(sums) == pytest.approx(2 ** (8 / 4), abs=1e-5) and perplexity.sign == -1


def test_a_text_is_gone_on_with_in_the_same_way_whatever_stands_beside_it_and_before() -> None:
    of, prompts = model(), [np.array([END, 5, 6]), np.array([END, 9]), np.array([END, 9])]
    state = torch.random.get_rng_state()
    both = continuations(of, prompts)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(7)
    assert continuations(of, [prompts[2], *prompts[1:]])[1].tolist() == both[1].tolist() != both[2].tolist()
    assert all(0 < len(written) <= DRAWN.max_tokens for written in both)
