"""A typed, frozen view of params.yaml: every key stands there, every mistake is named by its full path.

No torch here: validating the parameters of a run has to be instant.
"""

from pipeline.params.datasets import (
    ColumnsParams,
    CounterExamplesParams,
    DatasetParams,
    DecontaminationParams,
    SplitParams,
    ValidationParams,
)
from pipeline.params.distillation import (
    AnyLessons,
    DistillParams,
    DistillPretrainedParams,
    LossWeights,
    StudentParams,
)
from pipeline.params.evaluation import EvaluateParams, GateParams
from pipeline.params.export import ExportParams
from pipeline.params.generation import GenerationParams
from pipeline.params.pretraining import (
    ContrastiveParams,
    CorpusParams,
    HubWeights,
    LocalWeights,
    PackageWeights,
    PretrainParams,
    RandomWeights,
    ShardsParams,
    TokenizerParams,
)
from pipeline.params.reading import check_params, load_params, read_yaml
from pipeline.params.sources import FilesParams, HubSource, LocalSource, PackageSource, StorageSource
from pipeline.params.tasks import FinetuneParams, MitigationParams, TaskParams, TransferParams
from pipeline.params.training import ArchitectureParams, OptimizationParams, RuntimeParams, TrainingParams
from pipeline.params.whole import Params

__all__ = [
    "AnyLessons",
    "ArchitectureParams",
    "ColumnsParams",
    "ContrastiveParams",
    "CorpusParams",
    "CounterExamplesParams",
    "DatasetParams",
    "DecontaminationParams",
    "DistillParams",
    "DistillPretrainedParams",
    "EvaluateParams",
    "ExportParams",
    "FilesParams",
    "FinetuneParams",
    "GateParams",
    "GenerationParams",
    "HubSource",
    "HubWeights",
    "LocalSource",
    "LocalWeights",
    "LossWeights",
    "MitigationParams",
    "OptimizationParams",
    "PackageSource",
    "PackageWeights",
    "Params",
    "PretrainParams",
    "RandomWeights",
    "RuntimeParams",
    "ShardsParams",
    "SplitParams",
    "StorageSource",
    "StudentParams",
    "TaskParams",
    "TokenizerParams",
    "TrainingParams",
    "TransferParams",
    "ValidationParams",
    "check_params",
    "load_params",
    "read_yaml",
]
