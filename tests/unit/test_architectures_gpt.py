"""GPT-2: tied embeddings, no token sees what comes after it, a classifier reads the last token that is no padding."""

from pathlib import Path

import torch
from transformers import GPT2Model

from pipeline.architectures import gpt
from pipeline.params import ArchitectureParams

PAD = 0
SHAPE = ArchitectureParams(
    family="gpt", layers=2, hidden_size=16, attention_heads=2, intermediate_size=24, max_length=16, dropout=0.0
)
IDS = torch.tensor([[9, 8, 7, 6], [5, 4, PAD, PAD]])
MASK = (IDS != PAD).long()


def built(head: str, **settings: int) -> gpt.PreTrainedModel:
    torch.manual_seed(0)
    model = gpt.build(SHAPE, head=head, vocabulary_size=40, pad_token_id=PAD, **settings).eval()
    for parameter in model.parameters():  # as drawn they are so small that a wrong mask would hardly show
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def test_the_output_layer_is_the_word_embeddings(tmp_path: Path) -> None:
    model = built("causal_lm", eos_token_id=3)
    assert model.lm_head.weight is model.transformer.wte.weight
    model.save_pretrained(tmp_path)
    again = gpt.load(tmp_path, head="causal_lm")
    assert again.lm_head.weight is again.transformer.wte.weight
    assert (again.config.eos_token_id, again.config.bos_token_id) == (3, None)


def test_a_decoder_without_a_head_gets_one_tied_to_its_words(tmp_path: Path) -> None:
    decoder = GPT2Model(built("causal_lm").config)
    decoder.save_pretrained(tmp_path)
    model = gpt.load(tmp_path, head="causal_lm")
    assert torch.equal(model.lm_head.weight, decoder.wte.weight)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_no_token_sees_a_later_one() -> None:
    model, changed = built("causal_lm"), IDS[:1].clone()
    changed[0, 2] = 11
    before, after = (model(input_ids=ids).logits[0] for ids in (IDS[:1], changed))
    torch.testing.assert_close(before[:2], after[:2])
    assert not torch.allclose(before[2:], after[2:])


def test_a_classifier_reads_the_last_token_that_is_no_padding() -> None:
    model = built("text_classification", num_labels=3)
    found = model(input_ids=IDS, attention_mask=MASK).logits
    for row, last in enumerate((3, 1)):
        states = model.transformer(input_ids=IDS[row : row + 1, : last + 1]).last_hidden_state
        torch.testing.assert_close(found[row], model.score(states[0, last]))
