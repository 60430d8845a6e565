"""`stillhouse bias` on models of a few kilobytes: a masked and a causal one, and those it cannot ask."""

from pathlib import Path

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

WORDS = [*SPECIAL_TOKENS.values(), "the", "man", "woman", "cooks", "well"]
SHAPE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
CONFIG = BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **SHAPE)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["the woman cooks well,the man cooks well,gender"] * 3 + ["the man,the woman,age"]
    write_text(Path("pairs.csv"), "\n".join(["sent_more,sent_less,bias_type", *rows]) + "\n")


def saved(model: PreTrainedModel) -> str:
    torch.manual_seed(0)
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


@pytest.mark.parametrize(
    "model",
    [BertForMaskedLM(CONFIG), GPT2LMHeadModel(GPT2Config(vocab_size=len(WORDS), n_embd=16, n_layer=1, n_head=2))],
    ids=["masked", "causal"],
)
def test_the_shares_and_what_they_are_worth(model: PreTrainedModel) -> None:
    code, said = printed("--model", saved(model))
    assert code == 0
    assert "all 4" in said and "age 1" in said and "gender 3" in said
    assert "Blodgett et al. 2021" in said and "no gate reads it" in said


def test_winobias_is_asked_of_the_same_models() -> None:
    write_text(Path("pro_stereotyped_type2.txt.dev"), "1 [The man] cooks well.\n2 the woman cooks [her] well\n")
    write_text(Path("anti_stereotyped_type2.txt.dev"), "1 [The man] cooks badly.\n2 the woman cooks [him] well\n")
    code, said = printed("--model", saved(BertForMaskedLM(CONFIG)), pairs=("--winobias", "."))
    assert code == 0 and "all 1" in said and "type 2: the syntax tells who is meant 1" in said
    assert "1 pairs that differ in more than pronouns were left out" in said
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
