"""What language model, teacher and student share: the machine's part, the shape of a model, the way it is trained."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.families import WITHOUT_LAYERS
from pipeline.params.section import Section, Share


class RuntimeParams(Section):
    """What the exact bits of a result depend on besides data and hyperparameters."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    """Seed of all random numbers: new weights, the order of rows, masking, dropout, recombined texts, bootstrap."""
    threads: Annotated[int, Field(ge=1)]
    """Processor threads that models compute with; another number gives slightly different results."""
    precision: Literal["auto", "float32", "bfloat16"]
    """Number format of matrix products; `auto` is bfloat16 where the hardware computes in it, else float32."""
    distributed: Literal["none", "ddp", "fsdp"] = "none"
    """Whether the stages that train do so in several processes, each computing its share of every batch: `ddp` keeps
    weights and optimizer in each of them, `fsdp` divides both among them; `none` is one process."""
    processes: Annotated[int, Field(ge=1)] = 1
    """Number of these processes, on all machines together; on cards one for each. 1 where `distributed` is `none`."""

    @model_validator(mode="after")
    def _several_processes_are_distributed(self) -> "RuntimeParams":
        if (self.distributed == "none") != (self.processes == 1):
            needed = "1" if self.distributed == "none" else "> 1"
            raise ValueError(f"processes must be {needed} when distributed is {self.distributed}, got {self.processes}")
        return self


class ArchitectureParams(Section):
    """The shape of a model. Source: Devlin et al. 2019, table of sizes in section 3."""

    family: Literal["bert", "roberta", "modernbert", "gpt", "llama", "encoder_decoder", "bilstm"]
    """Kind of network: `bert`, `roberta` and `modernbert` see a whole text at once; `gpt`, as GPT-2, and `llama` see
    what is before a token; `encoder_decoder`, as Marian, reads one text and writes another; `bilstm`, for students
    alone, reads a text from both ends, as Tang et al. 2019 have it."""
    layers: Annotated[int, Field(ge=1)]
    """Number of layers, of an encoder-decoder those of the encoder."""
    decoder_layers: Annotated[int, Field(ge=1)] | None = None
    """Number of the decoder's layers; for `encoder_decoder` only. Writing costs a pass through them for every token, so
    a deep encoder with a shallow decoder is fast (Kasai et al. 2020)."""
    hidden_size: Annotated[int, Field(ge=8)]
    """Width of embeddings and hidden states; a multiple of `attention_heads`. Of a `bilstm` half of it is each
    direction's."""
    attention_heads: Annotated[int, Field(ge=1)] | None
    """Number of attention heads of each layer; null for a `bilstm`."""
    intermediate_size: Annotated[int, Field(ge=8)]
    """Width of the feed-forward network of each layer, of a `bilstm` that of the one before its answer."""
    max_length: Annotated[int, Field(ge=16)]
    """Maximum length of an input in tokens, special tokens included."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Dropout of embeddings and hidden states during training; attention has none, and a `llama` none at all."""

    @model_validator(mode="after")
    def _a_decoder_has_layers(self) -> "ArchitectureParams":
        if (self.family == "encoder_decoder") != (self.decoder_layers is not None):
            needed = "given" if self.decoder_layers is None else "null"
            raise ValueError(f"decoder_layers must be {needed} for family {self.family}, got {self.decoder_layers}")
        return self

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "ArchitectureParams":
        if (self.family in WITHOUT_LAYERS) != (self.attention_heads is None):
            needed = "given" if self.attention_heads is None else "null"
            raise ValueError(f"attention_heads must be {needed} for family {self.family}, got {self.attention_heads}")
        if self.attention_heads is None and self.hidden_size % 2:
            raise ValueError(f"hidden_size must be even for family {self.family}, got {self.hidden_size}")
        if self.attention_heads is not None and self.hidden_size % self.attention_heads:
            raise ValueError(
                f"attention_heads must divide hidden_size, got {self.attention_heads} heads, width {self.hidden_size}"
            )
        return self


class OptimizationParams(Section):
    """How weights are trained: AdamW, a warmed-up learning rate, clipped gradients."""

    batch_size: Annotated[int, Field(ge=1)]
    """Rows per training step; in pretraining, sequences."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Highest learning rate, reached when the warm-up ends."""
    embeddings_rate: Share
    """Learning rate of the word embeddings as a share of `learning_rate`; 0 freezes them."""
    schedule: Literal["linear", "cosine", "constant"]
    """How the learning rate goes on after the warm-up: it falls to 0 linearly or along a cosine, or stays constant."""
    warmup_share: Share
    """Share of the steps during which the learning rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Weight decay of AdamW; biases and LayerNorm have none."""
    max_gradient_norm: Annotated[float, Field(gt=0)]
    """Gradients of a larger norm are scaled down to it."""
    evaluations: Annotated[int, Field(ge=1)]
    """Number of evaluations on the dev split, evenly spaced over the run."""
    checkpoint_minutes: Annotated[float, Field(gt=0)]
    """Minutes between the checkpoints that a stopped run goes on from; results do not depend on it."""


class TrainingParams(OptimizationParams):
    """A training run over labelled rows, with early stopping."""

    epochs: Annotated[int, Field(ge=1)]
    """Number of passes over the rows."""
    patience: Annotated[int, Field(ge=1)] | None
    """Evaluations in a row without a better dev score after which training stops; null never stops early."""
