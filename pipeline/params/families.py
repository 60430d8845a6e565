"""What each family of models can be pretrained by; what it can do afterwards stands in `task_types`."""

OBJECTIVES = {
    "bert": ("masked_lm", "masked_lm_next_sentence", "contrastive"),
    "roberta": ("masked_lm", "contrastive"),
    "modernbert": ("masked_lm",),
    "gpt": ("causal_lm",),
    "llama": ("causal_lm",),
    "encoder_decoder": ("text_infilling", "span_corruption"),
    "bilstm": (),  # a student alone
}
TOKENIZERS = {
    "bert": ("wordpiece", "bpe"),
    "roberta": ("bpe",),
    "modernbert": ("bpe",),
    "gpt": ("bpe",),
    "llama": ("bpe",),
    "encoder_decoder": ("wordpiece", "bpe"),
    "bilstm": (),  # whichever its teacher has
}
EXPORTED = ("bert", "roberta")  # of which pipeline/exporting writes graphs, by transformers' names for them too
WITHOUT_LAYERS = ("bilstm",)  # whose layers are none that a Transformer's could be compared with, and have no heads
WITH_ATTENTIONS = ("bert", "roberta")  # whose queries, keys and values a student can learn from
# whose layers can start from a teacher's: those of ModernBERT are not alike, an encoder-decoder has two stacks of them
WITH_ALIKE_LAYERS = ("bert", "roberta", "gpt", "llama")
MASKED = ("masked_lm", "masked_lm_next_sentence", "text_infilling", "span_corruption")  # objectives that hide tokens
FROM_A_STREAM = ("masked_lm", "causal_lm", "text_infilling", "span_corruption")  # of sequences, made piece by piece
WITH_WHOLE_WORDS = ("masked_lm", "masked_lm_next_sentence")
