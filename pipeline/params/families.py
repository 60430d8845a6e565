"""What each family of models can be pretrained by; what it can do afterwards stands in `task_types`."""

OBJECTIVES = {
    "bert": ("masked_lm", "masked_lm_next_sentence"),
    "roberta": ("masked_lm",),
    "modernbert": ("masked_lm",),
    "gpt": ("causal_lm",),
    "llama": ("causal_lm",),
}
TOKENIZERS = {
    "bert": ("wordpiece", "bpe"),
    "roberta": ("bpe",),
    "modernbert": ("bpe",),
    "gpt": ("bpe",),
    "llama": ("bpe",),
}
WITH_ATTENTIONS = ("bert", "roberta")  # whose attention scores a student can learn from
