"""`stillhouse bias` on models of a few kilobytes: a masked and a causal one, and those it cannot ask."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    MarianConfig,
    MarianMTModel,
    PreTrainedModel,
)
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.files import write_text
from pipeline.tokenization.folder import SPECIAL_TOKENS, assemble, save_tokenizer
from tests.stages.tokenization_project import ROOT
from tests.tiny_students import says_always

WORDS = [*SPECIAL_TOKENS.values(), "the", "man", "woman", "him", "her", "cooks", "well"]
MALE, FEMALE = ([WORDS.index(word) for word in words] for words in (("man", "him"), ("woman", "her")))
SHAPE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
CONFIG = BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **SHAPE)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["the woman cooks well,the man cooks well,gender"] * 3 + ["the man,the woman,age"]
    write_text(Path("pairs.csv"), "\n".join(["sent_more,sent_less,bias_type", *rows]) + "\n")


def saved(model: PreTrainedModel) -> str:
    model.save_pretrained("model")
    tokenizer = assemble(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"),
        SPECIAL_TOKENS,
        None,
        pre_tokenizers.Whitespace(),
        None,
    )
    save_tokenizer(tokenizer, SPECIAL_TOKENS, 16, Path("model"))
    return "model"


def printed(*arguments: str, pairs: tuple[str, ...] = ("--data", "pairs.csv")) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["bias", *pairs, *arguments], env={"COLUMNS": "120"})
    return result.exit_code, " ".join(result.output.split())


def masked() -> BertForMaskedLM:
    """Return a BERT that expects men and no other word where it sees one: what stands beside women is likelier to it.

    All but its norms is zero, the embeddings of men are the same vector, and its attention is the mean of what it sees.
    """
    model: Any = BertForMaskedLM(CONFIG)
    layer = model.bert.encoder.layer[0].attention
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
        for linear in (layer.self.value, layer.output.dense, model.cls.predictions.transform.dense):
            linear.weight.copy_(torch.eye(CONFIG.hidden_size))
        model.bert.embeddings.word_embeddings.weight[MALE, 0] = 1.0
    return model


def causal() -> GPT2LMHeadModel:
    """Return a GPT that finds women likelier than any other word, whatever stands before them."""
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(WORDS), n_embd=16, n_layer=1, n_head=2))
    logits = torch.zeros(len(WORDS))
    logits[FEMALE] = 1.0
    says_always(model, logits)
    return model


@pytest.mark.parametrize("build", [masked, causal])
def test_the_shares_and_what_they_are_worth(build: Callable[[], PreTrainedModel]) -> None:
    code, said = printed("--model", saved(build()))
    assert code == 0
    assert "all 4 75.0%" in said and "age 1 0.0%" in said and "gender 3 100.0%" in said
    assert "Blodgett et al. 2021" in said and "no gate reads it" in said


@pytest.mark.parametrize("build", [masked, causal])
def test_winobias_is_asked_of_the_same_models(build: Callable[[], PreTrainedModel]) -> None:
    for side, first, second in (("pro", "him", "her"), ("anti", "her", "him")):
        write_text(Path(f"{side}_stereotyped_type1.txt.dev"), f"1 the cooks [{first}] well\n")
        lines = f"1 [The man] cooks {side}.\n2 the cooks [{second}] well\n3 [{second}] cooks well\n"
        write_text(Path(f"{side}_stereotyped_type2.txt.dev"), lines)
    code, said = printed("--model", saved(build()), pairs=("--winobias", "."))
    assert code == 0 and "all 3 66.7%" in said
    assert "type 1: the sense alone tells who is meant 1 0.0%" in said
    assert "type 2: the syntax tells who is meant 2 100.0%" in said
    assert "1 pairs that differ in more than pronouns were left out" in said


def test_either_pairs_or_winobias_is_asked_for() -> None:
    for pairs in ((), ("--winobias", ".", "--data", "pairs.csv")):
        assert printed(pairs=pairs) == (2, "stillhouse: bias: expected one of --data FILE and --winobias FOLDER")


def test_a_head_that_nobody_trained_is_refused() -> None:
    write_text(Path("params.yaml"), (ROOT / "params.yaml").read_text())
    assert printed() == (2, "stillhouse: models/pretrained: pretrain.max_tokens is 0, expected a head that was trained "
                         "here, or --model FOLDER")  # fmt: skip
    code, said = printed("--model", saved(BertModel(CONFIG)))
    assert code == 2 and "model: no weights for cls.predictions" in said


def test_what_writes_and_sentences_that_are_too_long_are_refused() -> None:
    shape = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
    shape |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    marian = MarianMTModel(MarianConfig(vocab_size=len(WORDS), pad_token_id=0, decoder_start_token_id=0, **shape))
    code, said = printed("--model", saved(marian))
    assert code == 2 and "a model of the family encoder_decoder, expected one with a masked or a causal LM" in said
    write_text(Path("pairs.csv"), f"sent_more,sent_less,bias_type\n{'man ' * 15},man,age\n")
    code, said = printed("--model", saved(BertForMaskedLM(CONFIG)))
    assert code == 2 and "17 tokens, expected at most 16" in said
