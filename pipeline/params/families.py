"""What each family of models can be pretrained by; what it can do afterwards stands in `task_types`."""

OBJECTIVES = {
    "bert": ("masked_lm", "masked_lm_next_sentence", "contrastive"),
    "roberta": ("masked_lm", "contrastive"),
    "gpt": ("causal_lm",),
}
TOKENIZERS = {"bert": ("wordpiece", "bpe"), "roberta": ("bpe",), "gpt": ("bpe",)}
