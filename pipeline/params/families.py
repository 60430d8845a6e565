"""What each family of models can be pretrained by; what it can do afterwards stands in `task_types`."""

OBJECTIVES = {"bert": ("masked_lm", "masked_lm_next_sentence"), "roberta": ("masked_lm",), "gpt": ("causal_lm",)}
TOKENIZERS = {"bert": ("wordpiece", "bpe"), "roberta": ("bpe",), "gpt": ("bpe",)}
