"""A published model and its tokenizer fit each other: what the tokenizer makes is what the model reads."""

from pathlib import Path

import pytest
import torch
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pipeline.architectures import ARCHITECTURES
from pipeline.architectures.model_folder import publish_model
from pipeline.params import ArchitectureParams
from pipeline.params.task_types import TASK_TYPES
from pipeline.tokenization.folder import SPECIAL_TOKENS, assemble, save_tokenizer


@pytest.mark.parametrize("family", TASK_TYPES["text_classification"].families)
def test_a_published_model_reads_what_its_tokenizer_makes(family: str, tmp_path: Path) -> None:
    pieces = [*SPECIAL_TOKENS.values(), "dull", "bright"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = assemble(WordLevel(vocabulary, unk_token="[UNK]"), SPECIAL_TOKENS, None, Whitespace(), None)
    save_tokenizer(tokenizer, SPECIAL_TOKENS, 16, tmp_path / "tokenizer")
    shape = ArchitectureParams(
        family=family, layers=1, hidden_size=16, attention_heads=None if family == "bilstm" else 2,
        intermediate_size=32, max_length=16, dropout=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = ARCHITECTURES[family]().build(
        shape, head="text_classification", vocabulary_size=len(pieces), pad_token_id=0, num_labels=2
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    publish_model(model.eval(), tmp_path / "tokenizer", tmp_path / "model")

    made = AutoTokenizer.from_pretrained(tmp_path / "model")(
        ["bright", "dull bright"], padding=True, return_tensors="pt"
    )
    assert made["input_ids"].tolist() == [[2, 6, 3, 0], [2, 5, 6, 3]]
    assert ("token_type_ids" in made) == (family == "bert")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    expected = model(input_ids=made["input_ids"], attention_mask=made["attention_mask"]).logits
    torch.testing.assert_close(loaded(**made).logits, expected)
    same = (tmp_path / "model/tokenizer.json").read_bytes() == (tmp_path / "tokenizer/tokenizer.json").read_bytes()
    configs = [(tmp_path / name / "tokenizer_config.json").read_bytes() for name in ("model", "tokenizer")]
    assert same and (configs[0] == configs[1]) == (family == "bert")
