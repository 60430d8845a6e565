"""A model that was exported to ONNX, asked as if it were the one it was made of. onnxruntime is imported when it is."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig

from pipeline.architectures.sentence_similarity import texts_apart

GRAPH = "model.onnx"
RECORD = "export.json"  # beside it, or alone where there is no graph: the format, and why it is that one


def is_exported(folder: Path) -> bool:
    """Tell whether the model in `folder` is a graph."""
    return (folder / GRAPH).is_file()


def open_session(graph: str | bytes, threads: int) -> Any:
    """Return ONNX Runtime's session for a graph, by path or in bytes, on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # what it would fuse further is slower: residual and norm in one take several times as long as one after the other
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # threads that wait by turning in circles take the processor from everything else on the machine
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class ExportedModel(nn.Module):
    """The graph in a folder, with the configuration of the model that it was made of.

    It computes with as many threads as torch has at the first call, and has no weights to be trained.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.config = AutoConfig.from_pretrained(folder)
        self.no_weights = nn.Parameter(torch.empty(0), requires_grad=False)  # what asks a model where its weights are
        self._session: Any = None

    def forward(self, **inputs: Tensor) -> Any:
        """Return an object with `logits`, float32, as the exported model's class has them.

        inputs: input_ids, attention_mask and, where rows have a second text, token_type_ids, int64 (rows, tokens).
        Start and end of an answer are two classes of each token's logits. A graph that compares texts gives a row of
        two their cosine, (rows, 1), and single texts their vectors, (rows, width).
        """
        if self._session is None:
            self._session = open_session(str(self.folder / GRAPH), torch.get_num_threads())
            self._reads = {value.name for value in self._session.get_inputs()}
            self._compares = self._session.get_outputs()[0].name == "vectors"
        if self._compares and "token_type_ids" in inputs:
            return self._cosines(**inputs)
        return SimpleNamespace(logits=self._run(inputs))

    def _cosines(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Any:
        ids, mask = texts_apart(input_ids, attention_mask, token_type_ids, self.config.pad_token_id)
        first, second = self._run({"input_ids": ids, "attention_mask": mask}).chunk(2)
        return SimpleNamespace(logits=nn.functional.cosine_similarity(first, second)[:, None])

    def _run(self, inputs: dict[str, Tensor]) -> Tensor:
        given = {name: value.numpy(force=True) for name, value in inputs.items() if name in self._reads}
        for name in self._reads - given.keys():  # types, where a graph of pairs reads single texts
            given[name] = torch.zeros_like(inputs["input_ids"]).numpy(force=True)
        (found,) = self._session.run(None, given)
        return torch.from_numpy(found).to(inputs["input_ids"].device)  # it computes on the processor all the same
