"""Students of a few kilobytes: what the one for spans answers can be worked out by hand, the others' is chance."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from tokenizers import models, normalizers, pre_tokenizers
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    GenerationConfig,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    MarianConfig,
    MarianMTModel,
)

from pipeline.architectures.bilstm import BilstmConfig, BilstmForTokenClassification
from pipeline.architectures.sentence_similarity import BertForSentenceSimilarity
from pipeline.tokenization.folder import SPECIAL_TOKENS, assemble, save_tokenizer

LABELS = ["artist", "city"]
NAMES = ["negative", "positive"]
TOPICS = ["art", "food", "war"]
TAGS = ["O", "B-artist", "I-artist", "B-city", "I-city"]
# each piece and the tag that the model gives it
PIECES = dict.fromkeys([*SPECIAL_TOKENS.values(), "play", "in", ",", "it", "##s"], "O")
PIECES |= {"madonna": "B-artist", "keys": "I-artist", "##is": "I-artist"}
PIECES |= {"par": "B-city", "new": "B-city", "东": "B-city", "york": "I-city", "京": "I-city"}
MAX_LENGTH = 12  # tokens a row, of which ten are the text's
BEGIN = math.exp(2) / (math.exp(2) + 3 * math.exp(-0.5) + math.exp(-1))  # what the model gives a B-tag
INSIDE = math.exp(4) / (math.exp(4) + 4 * math.exp(-0.5))  # what it gives I-city


def save_span_student(folder: Path) -> None:
    """Write a model without layers, whose logits for a token are those of its piece.

    A piece's embedding is 1 at its tag and 0 at the four others, which layer normalisation makes 2 and -½. The
    classifier leaves that as it is, but for I-city, which it doubles.
    """
    settings = _settings(TAGS, hidden_size=len(TAGS), num_hidden_layers=0, num_attention_heads=1)
    model = BertForTokenClassification(settings)
    embeddings: Any = model.bert.embeddings
    with torch.no_grad():
        embeddings.position_embeddings.weight.zero_()
        embeddings.token_type_embeddings.weight.zero_()
        embeddings.word_embeddings.weight.copy_(torch.eye(len(TAGS))[[TAGS.index(tag) for tag in PIECES.values()]])
        model.classifier.weight.copy_(torch.diag(torch.tensor([1.0, 1.0, 1.0, 1.0, 2.0])))
        model.classifier.bias.zero_()
    model.save_pretrained(folder)
    _save_tokenizer(folder)


def save_label_student(folder: Path, kind: Any = BertForSequenceClassification) -> None:
    """Write a BERT of one layer that tells texts `negative` and `positive` apart by chance.

    `initializer_range` is wide, so that each of its inputs moves its answer.
    """
    torch.manual_seed(1)
    settings = _settings(NAMES, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, initializer_range=0.5)
    kind(settings).save_pretrained(folder)
    _save_tokenizer(folder)


def save_unsure_student(folder: Path) -> None:
    """Write the same BERT with a temperature and a limit under which it does not say `negative`."""
    save_label_student(folder)
    record = {"temperature": 2.0, "thresholds": {"negative": 0.7}}
    (folder / "export.json").write_text(json.dumps(record), encoding="utf-8")


def save_topic_student(folder: Path) -> None:
    """Write a BERT that gives texts any number of three labels by chance."""
    torch.manual_seed(1)
    shape: dict[str, Any] = {"num_hidden_layers": 1, "num_attention_heads": 2, "initializer_range": 0.5}
    settings = _settings(TOPICS, hidden_size=16, problem_type="multi_label_classification", **shape)
    BertForSequenceClassification(settings).save_pretrained(folder)
    _save_tokenizer(folder)


def save_bilstm_student(folder: Path) -> None:
    """Write a BiLSTM that finds spans by chance."""
    torch.manual_seed(1)
    shape: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 16}
    model = BilstmForTokenClassification(BilstmConfig(vocab_size=len(PIECES), pad_token_id=0, **shape, **_names(TAGS)))
    with torch.no_grad():
        model.classifier.weight.mul_(20)  # else it is hardly surer of one tag than of another
        pieces = torch.arange(len(PIECES))[None]
        model.classifier.bias -= model(pieces, torch.ones_like(pieces)).logits.mean(dim=(0, 1))  # nor always of one
    model.save_pretrained(folder)
    _save_tokenizer(folder)


def save_answer_student(folder: Path) -> None:
    """Write a BERT that finds answers in a text; in its rows a question has room for one token."""
    save_label_student(folder, BertForQuestionAnswering)


def save_similarity_student(folder: Path) -> None:
    """Write a BERT that compares two texts."""
    save_label_student(folder, BertForSentenceSimilarity)


def save_continuation_student(folder: Path) -> None:
    """Write a GPT that goes on with a text for four tokens."""
    torch.manual_seed(1)
    shape = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 2 * MAX_LENGTH}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(PIECES), pad_token_id=0, initializer_range=0.5, **shape))
    _write(model, folder, do_sample=True, max_new_tokens=4, pad_token_id=0)


def save_translation_student(folder: Path) -> None:
    """Write an encoder-decoder that translates a text into four tokens or fewer."""
    torch.manual_seed(1)
    shape: dict[str, Any] = {"d_model": 16, "max_position_embeddings": MAX_LENGTH, "init_std": 0.5}
    for side in ("encoder", "decoder"):
        shape |= {f"{side}_layers": 1, f"{side}_attention_heads": 2, f"{side}_ffn_dim": 16}
    special = {"pad_token_id": 0, "decoder_start_token_id": 0, "eos_token_id": 2, "forced_eos_token_id": None}
    purpose = {"task_specific_params": {"translation": {"answer": "translation"}}}
    model = MarianMTModel(MarianConfig(vocab_size=len(PIECES), **shape, **special, **purpose))
    _write(model, folder, max_new_tokens=4, pad_token_id=0, decoder_start_token_id=0, eos_token_id=2)


def says_always(model: GPT2LMHeadModel, logits: torch.Tensor) -> None:
    """Have a GPT give each next token the same logit, (vocabulary,), whatever the text: its last state is (1, 0, …)."""
    with torch.no_grad():
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.copy_(torch.eye(model.config.n_embd)[0])
        model.lm_head.weight[:, 0] = logits  # which are the embeddings too: only what they begin with is read


def _write(model: Any, folder: Path, **generation: Any) -> None:
    model.generation_config = GenerationConfig(**generation)
    model.save_pretrained(folder)
    _save_tokenizer(folder)


def save_gpt_student(folder: Path) -> None:
    """Write a GPT that does the same."""
    torch.manual_seed(1)
    shape = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": MAX_LENGTH}
    settings = GPT2Config(vocab_size=len(PIECES), pad_token_id=0, initializer_range=0.5, **shape, **_names(NAMES))
    GPT2ForSequenceClassification(settings).save_pretrained(folder)
    _save_tokenizer(folder)


def _settings(names: list[str], **shape: Any) -> BertConfig:
    shape |= {"vocab_size": len(PIECES), "max_position_embeddings": MAX_LENGTH, "intermediate_size": 16}
    return BertConfig(**shape, **_names(names))


def _names(names: list[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


def _save_tokenizer(folder: Path) -> None:
    vocabulary = {piece: index for index, piece in enumerate(PIECES)}
    tokenizer = assemble(
        models.WordPiece(vocabulary, unk_token=SPECIAL_TOKENS["unk_token"]),
        SPECIAL_TOKENS,
        normalizers.BertNormalizer(lowercase=True),
        pre_tokenizers.BertPreTokenizer(),
        None,
    )
    save_tokenizer(tokenizer, SPECIAL_TOKENS, MAX_LENGTH, folder)
