"""BERT and RoBERTa with any of their heads as a graph, without the work that no answer depends on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto
from safetensors.numpy import load_file

from pipeline.exporting.arithmetic import Arithmetic
from pipeline.exporting.graph import Graph
from pipeline.files import InputError, read_json
from pipeline.params.families import EXPORTED

WEIGHTS = "model.safetensors"
MASKED = 1e4  # taken from the score of a token that is padding


class Encoder:
    """A trained model, in a `save_pretrained` folder, of one of EXPORTED. Raises InputError where it is another."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = read_json(folder / "config.json")
        family, activation = self.config["model_type"], self.config["hidden_act"]
        if family not in EXPORTED or activation != "gelu":
            raise InputError(f"{folder}: a {family} with {activation}, expected one of {', '.join(EXPORTED)} with gelu")
        self.weights = load_file(folder / WEIGHTS)
        (self.kind,) = self.config["architectures"]
        self.base = "" if self.compares else f"{family}."
        self.width, self.heads = self.config["hidden_size"], self.config["num_attention_heads"]

    def layer(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return weight and bias of a linear layer or a norm."""
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]

    @property
    def compares(self) -> bool:
        """Whether it makes vectors of single texts, which are compared."""
        return bool(self.kind.endswith("SentenceSimilarity"))

    @property
    def answers_once(self) -> bool:
        """Whether a row has one answer, read at its first token."""
        return bool(self.kind.endswith("SequenceClassification"))


def write_graph(
    encoder: Encoder, arithmetic: Arithmetic, *, pairs: bool, observed: list[str] | None = None
) -> ModelProto:
    """Return the graph of a trained encoder with its head.

    Inputs: input_ids and attention_mask, with `pairs` also token_type_ids, int64 (rows, tokens). Output, float32:
    `logits`, (rows, classes) where a row has one answer, else (rows, tokens, classes), the two of an answer's start and
    end being classes; `vectors`, (rows, width), the mean over a text's tokens, where texts are compared. `observed` are
    further tensors to put out, which is what `arithmetic` observes.
    """
    typed = pairs and encoder.config["type_vocab_size"] > 1 and not encoder.compares
    graph = Graph(["input_ids", "attention_mask", *(["token_type_ids"] if typed else [])])
    mask = graph.add("Cast", "attention_mask", to=TensorProto.INT32)
    states = _embedded(graph, encoder, arithmetic, typed)
    last = encoder.config["num_hidden_layers"] - 1

    def dense(read: str, layer: str) -> str:
        return arithmetic.dense(graph, read, layer, *encoder.layer(layer))

    for number in range(last + 1):
        name = f"{encoder.base}encoder.layer.{number}"
        if number == last and encoder.answers_once:
            states = _first_token_layer(graph, encoder, arithmetic, name, states)
        else:
            projections = [encoder.layer(f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
            weight, bias = (np.concatenate(parts) for parts in zip(*projections, strict=True))
            attended = arithmetic.attention(graph, states, mask, f"{name}.attention", weight, bias, encoder.heads)
            states = _after_attention(graph, encoder, name, attended, states, dense)
    output = _head(graph, encoder, arithmetic, states)
    return graph.model([output, *(observed or [])])


def _embedded(graph: Graph, encoder: Encoder, arithmetic: Arithmetic, typed: bool) -> str:
    """Add word, position and type embeddings and their norm."""
    place = f"{encoder.base}embeddings"
    tables = {kind: encoder.weights[f"{place}.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")}
    # RoBERTa counts from behind the padding token's id
    first = encoder.config["pad_token_id"] + 1 if encoder.config["model_type"] == "roberta" else 0
    positions = tables["position"][first:] + (0 if typed else tables["token_type"][0])
    tokens = graph.add("Shape", "input_ids", start=1, end=2)
    table = arithmetic.matrix(graph, f"{place}.position", positions)
    states = arithmetic.embeddings(graph, "input_ids", f"{place}.word", tables["word"])
    states = graph.add("Add", states, graph.add("Slice", table, graph.numbers(0), tokens, graph.numbers(0)))
    if typed:
        types = graph.add("Gather", graph.constant(f"{place}.token_type", tables["token_type"]), "token_type_ids")
        states = graph.add("Add", states, types)
    return _norm(graph, encoder, f"{place}.LayerNorm", states)


def _norm(graph: Graph, encoder: Encoder, name: str, states: str) -> str:
    weight, bias = encoder.layer(name)
    scale, shift = graph.constant(f"{name}.weight", weight), graph.constant(f"{name}.bias", bias)
    return graph.add("LayerNormalization", states, scale, shift, axis=-1, epsilon=encoder.config["layer_norm_eps"])


def _after_attention(
    graph: Graph, encoder: Encoder, name: str, attended: str, states: str, dense: Callable[[str, str], str]
) -> str:
    """Add what follows attention in a layer: its output, the feed-forward network, both with residuals and norms.

    dense: adds the linear layer of a name to what it reads.
    """

    def normed(added: str, residual: str, part: str) -> str:
        return _norm(graph, encoder, f"{name}.{part}.LayerNorm", graph.add("Add", added, residual))

    states = normed(dense(attended, f"{name}.attention.output.dense"), states, "attention.output")
    inner = graph.add("Gelu", dense(states, f"{name}.intermediate.dense"), fused=True)
    return normed(dense(inner, f"{name}.output.dense"), states, "output")


def _first_token_layer(graph: Graph, encoder: Encoder, arithmetic: Arithmetic, name: str, states: str) -> str:
    """Add a layer for the first token alone: (rows, tokens, width) to (rows, width).

    With one query a head needs no keys and no values of all tokens: qᵀ (K x) is (Kᵀ q)ᵀ x, and a weighted sum of V x is
    V applied to that of x. A key's bias adds as much to all scores of a head, so softmax does not see it; a value's
    adds to the bias of the layer behind it.
    """
    heads, width = encoder.heads, encoder.width
    size = width // heads
    (query, query_bias), (key, _), (value, value_bias) = (
        encoder.layer(f"{name}.attention.self.{part}") for part in ("query", "key", "value")
    )
    scale = np.float32(1 / np.sqrt(size))
    first = graph.add("Gather", states, graph.constant("first", np.int64(0)), axis=1)
    asked = _for_one(graph, arithmetic, first, f"{name}.attention.query", query * scale, query_bias * scale)
    asked = graph.add("Reshape", asked, graph.numbers(0, heads, 1, size))
    keys = arithmetic.matrix(graph, f"{name}.attention.key", key.reshape(1, heads, size, width))
    asked = graph.add("Reshape", graph.add("MatMul", asked, keys), graph.numbers(0, heads, width))
    scores = graph.add("FusedMatMul", asked, states, fused=True, transB=1)
    padding = graph.constant("padding", np.array([-MASKED, 0], np.float32))
    lowered = graph.add("Unsqueeze", graph.add("Gather", padding, "attention_mask"), graph.numbers(1))
    read = graph.add("MatMul", graph.add("Softmax", graph.add("Add", scores, lowered), axis=-1), states)
    read = graph.add("Reshape", read, graph.numbers(0, heads, 1, width))
    by_head = value.reshape(1, heads, size, width).transpose(0, 1, 3, 2)
    values = arithmetic.matrix(graph, f"{name}.attention.value", by_head)
    read = graph.add("Reshape", graph.add("MatMul", read, values), graph.numbers(0, width))

    def dense(states: str, layer: str) -> str:
        weight, bias = encoder.layer(layer)
        if layer == f"{name}.attention.output.dense":
            bias = bias + weight @ value_bias
        return _for_one(graph, arithmetic, states, layer, weight, bias)

    return _after_attention(graph, encoder, name, read, first, dense)


def _for_one(graph: Graph, arithmetic: Arithmetic, states: str, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
    """Add a linear layer for one token of each row: too little to gain anything by products in 8 bits."""
    matrix = arithmetic.matrix(graph, f"{name}.weight", weight)
    return graph.add("Gemm", states, matrix, graph.constant(f"{name}.bias", bias), transB=1)


def _head(graph: Graph, encoder: Encoder, arithmetic: Arithmetic, states: str) -> str:
    """Add what makes answers of the last states; the layer that decides stays in float32."""
    if encoder.compares:
        return _mean(graph, states)
    layer = "qa_outputs" if encoder.kind.endswith("QuestionAnswering") else "classifier"
    if encoder.answers_once:
        pooler = "bert.pooler.dense" if encoder.config["model_type"] == "bert" else "classifier.dense"
        layer = layer if encoder.config["model_type"] == "bert" else "classifier.out_proj"
        states = graph.add("Tanh", _for_one(graph, arithmetic, states, pooler, *encoder.layer(pooler)))
    weight, bias = encoder.layer(layer)
    product = graph.add("MatMul", states, graph.constant(f"{layer}.weight", weight.T))
    return graph.add("Add", product, graph.constant(f"{layer}.bias", bias), name="logits")


def _mean(graph: Graph, states: str) -> str:
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    sums = graph.add("MatMul", graph.add("Unsqueeze", mask, graph.numbers(1)), states)
    sums = graph.add("Squeeze", sums, graph.numbers(1))
    counts = graph.add("ReduceSum", mask, graph.numbers(1), keepdims=1)
    return graph.add("Div", sums, counts, name="vectors")
