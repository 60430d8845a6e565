"""What each family of models can learn: `pipeline.architectures` has a head for each objective and type of task."""

OBJECTIVES = {"bert": ("masked_lm", "masked_lm_next_sentence"), "roberta": ("masked_lm",), "gpt": ("causal_lm",)}
TOKENIZERS = {"bert": ("wordpiece", "bpe"), "roberta": ("bpe",), "gpt": ("bpe",)}
TASKS = {
    "bert": ("text_classification", "token_classification"),
    "roberta": ("text_classification", "token_classification"),
    "gpt": ("text_classification",),  # a token's tag would not know what comes after it
}
