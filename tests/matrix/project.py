"""One project for the whole matrix: its parameters for each kind of model, and its stages as dvc.yaml states them."""

import copy
import importlib
import inspect
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForSeq2SeqLM, set_seed

from pipeline.architectures import ARCHITECTURES, MODEL_TYPES
from pipeline.architectures.model_folder import publish_model
from pipeline.params import Params, check_params, read_yaml
from pipeline.params.families import MASKED, OBJECTIVES, WITH_WHOLE_WORDS
from pipeline.params.task_types import TASK_TYPES
from pipeline.tokenization.folder import load_tokenizer, special_ids
from tests.shipped_params import shipped_values

ROOT = Path(__file__).parents[2]
DAG = read_yaml(ROOT / "dvc.yaml")
DEFAULT = shipped_values()
LENGTH, SEQUENCE = 64, 32  # in tokens: the longest row, and a sequence of pretraining
WRITTEN = 32  # tokens of a text that is written
CORPUS = "film_texts"
TASKS = {  # by dataset: the type, the format and the columns of its file
    "reviews": ("text_classification", "csv", {"text": "text", "label": "label"}),
    "review_pairs": ("text_classification", "csv", {"text": "text", "pair": "pair", "label": "label"}),
    "relations": ("text_classification", "csv", {"text": "text", "label": "label"}),
    "topics": ("multi_label_classification", "jsonl", {"text": "text", "labels": "topics"}),
    "names": ("token_classification", "conll", {"text": "text", "spans": "spans"}),
    "questions": ("question_answering", "squad", {"text": "context", "pair": "question", "spans": "answers"}),
    "excerpts": ("sentence_similarity", "csv", {"text": "text", "pair": "pair", "score": "score"}),
    "small_talk": ("text_generation", "conversations", {"text": "text"}),
    "translations": ("translation", "aligned", {"text": "text", "target": "target"}),
    "talks": ("summarization", "jsonl", {"text": "talk", "target": "summary"}),
}
MARKERS = {"relations": ["[E1]", "[/E1]", "[E2]", "[/E2]"]}
LABELS = {
    "reviews": ["critic", "viewer"],
    "review_pairs": [f"{one} and {other}" for one in ("critic", "viewer") for other in ("critic", "viewer")],
    "relations": ["is beside", "is watched by", "watches"],
    "topics": ["acting", "camera", "sound", "story"],
    "names": ["person", "place"],
    "questions": ["answer"],
}
EXTENSIONS = {"csv": ".csv", "conll": ".txt", "squad": ".json", "conversations": ".json", "jsonl": ".jsonl"}
TRAINING = {
    "batch_size": 16, "learning_rate": 2e-3, "embeddings_rate": 1.0, "schedule": "cosine", "warmup_share": 0.1,
    "weight_decay": 0.01, "max_gradient_norm": 1.0, "evaluations": 2, "checkpoint_minutes": 60.0,
}  # fmt: skip


def settings(
    model_type: str, objective: str, *, pieces: int, steps: int, lowercase: bool, corpus: str = CORPUS, **training: Any
) -> Params:
    """Return the parameters of a model by transformers' name of its type, and of every task that it can do.

    pieces, lowercase: of the tokenizer; one that makes capitals small cannot write them. steps: of pretraining.
    training: of all tasks, what is not as TRAINING has it. Types that no family makes of random weights start from a
    folder.
    """
    family = MODEL_TYPES[model_type]
    values = copy.deepcopy(DEFAULT)
    values["runtime"] = {"seed": 17, "threads": 1, "precision": "float32"}
    values["datasets"] = {name: _dataset(name) for name in (*TASKS, CORPUS)}
    values["corpus"] = {"dataset": corpus, "sequence_length": SEQUENCE}
    values["pretrain"] |= _pretraining(family, objective) | {"max_tokens": TRAINING["batch_size"] * SEQUENCE * steps}
    masked = objective in WITH_WHOLE_WORDS
    tasks = {
        name: _task(name, family, training, masked) for name in TASKS if family in TASK_TYPES[TASKS[name][0]].families
    }
    values |= {"tasks": tasks, "tokenizer": {"markers": [marker for name in tasks for marker in MARKERS.get(name, [])]}}
    trained = {"vocabulary_size": pieces, "lowercase": lowercase, "min_frequency": 2}
    kind = "wordpiece" if family == "bert" else "bpe"  # which can write any letter, as a translation has to
    values["tokenizer"] |= {"kind": kind} | trained
    values["init_from"] = {"kind": "random", "path": "constraints.txt"}
    if model_type not in made_here():
        values["init_from"] = {"kind": "folder", "path": f"data/raw/{model_type}"}
        values["tokenizer"] |= {"kind": "adopt"} | dict.fromkeys(trained)
        values["pretrain"] |= {"architecture": None, "embeddings": None}
    return check_params(values, Path("params.yaml"))


def task_settings(model_type: str, **changes: Any) -> Params:
    """Return the parameters of a model that is pretrained a little, by its family's first objective, for its tasks."""
    return settings(
        model_type, OBJECTIVES[MODEL_TYPES[model_type]][0], pieces=1000, steps=20, lowercase=False, **changes
    )


def carriers(name: str) -> list[str]:
    """Return the types of language models that can do a task, by transformers' names."""
    able = [family for family in TASK_TYPES[TASKS[name][0]].families if OBJECTIVES[family]]
    return [kind for kind, family in MODEL_TYPES.items() if family in able]


def made_here() -> list[str]:
    """Return the model types that the families make of random weights, by transformers' names."""
    kinds = (next(iter(ARCHITECTURES[family]().HEADS.values())) for family in OBJECTIVES)
    return [kind.config_class.model_type for kind in kinds]


def pretrain(params: Params, model_type: str, models: str) -> None:
    """Run the stages from the tokenizer to the language model; `models` is as `run` has it.

    A type that no family makes starts from random weights in a folder, as somebody else would have published it.
    """
    if params.init_from.kind == "folder":
        made = settings("marian", params.pretrain.objective, pieces=1000, steps=1, lowercase=False)
        run("train_tokenizer", made, f"{models}/published")
        _publish(model_type, Path(f"{models}/published/models/tokenizer"), Path(params.init_from.path))
    for stage in ("train_tokenizer", "tokenize_corpus", "pretrain"):
        run(stage, params, models)


def _publish(model_type: str, tokenizer: Path, out: Path) -> None:
    encoder, special_tokens = load_tokenizer(tokenizer)
    ids = special_ids(encoder, special_tokens)
    of_both = {"layers": 2, "attention_heads": 2, "ffn_dim": 128}
    sizes = {f"{side}_{key}": value for side in ("encoder", "decoder") for key, value in of_both.items()}
    sizes |= {"d_ff": 128, "d_kv": 32, "num_layers": 2, "num_heads": 2, "max_position_embeddings": LENGTH}
    ends = {"eos_token_id": ids["sep_token_id"], "decoder_start_token_id": ids["pad_token_id"]}
    set_seed(17)
    config = AutoConfig.for_model(
        model_type, vocab_size=encoder.get_vocab_size(), d_model=64, pad_token_id=ids["pad_token_id"], **ends, **sizes
    )
    publish_model(AutoModelForSeq2SeqLM.from_config(config), tokenizer, out)


def _shape(family: str, dropout: float = 0.0) -> dict[str, Any]:
    sizes = {"layers": 2, "hidden_size": 64, "attention_heads": 2, "intermediate_size": 128}
    sizes["max_length"] = LENGTH + WRITTEN  # a decoder alone reads and writes in one row
    return {"family": family, "dropout": dropout, "decoder_layers": 2 if family == "encoder_decoder" else None} | sizes


def _dataset(name: str) -> dict[str, Any]:
    _, format_, columns = TASKS.get(name, (None, "csv", {"text": "text"}))
    files = {"train": ["en", "de"], "dev": [], "test": []} if format_ == "aligned" else None
    labels = {label: label for label in LABELS[name]} if name in LABELS else None
    dataset = copy.deepcopy(DEFAULT["datasets"]["imdb"])
    return dataset | {
        "path": f"data/raw/{name}{EXTENSIONS.get(format_, '')}",
        "held_out": next(iter(TASKS)) if name == CORPUS else "none",
        "source": {"kind": "file", "format": format_, "header": None, "files": files, "origin": None},
        "columns": columns,
        "line_breaks": "keep",
        "only_sources": None,
        "labels": labels,
        "markers": MARKERS.get(name, []),
        "split": {"dev": 0.15, "test": 0.15},
        "decontamination": dataset["decontamination"] | {"similarity": 1.0},  # sentences made of parts are much alike
        "validation": dataset["validation"] | {"min_characters": 1, "max_drift": 1.0, "max_label_noise": 1.0},
    }


def _pretraining(family: str, objective: str) -> dict[str, Any]:
    contrastive = objective == "contrastive"
    return {
        "architecture": _shape(family, dropout=0.1 if contrastive else 0.0),
        "embeddings": "random",
        "objective": objective,
        "mask_share": 0.15 if objective in MASKED else None,
        "whole_word_mask": False if objective in WITH_WHOLE_WORDS else None,
        "across_documents": False if objective == "causal_lm" else None,
        "contrastive": {"temperature": 0.05, "pooling": "mean", "masked_lm": 0.0} if contrastive else None,
        "training": TRAINING,
    }


@cache
def _recipe(type_: str) -> dict[str, Any]:
    """Return the task of a recipe that has one of this type, or what makes another's one of it."""
    recipes = (read_yaml(path)["tasks"] for path in sorted((ROOT / "recipes").glob("*.yaml")))
    wanted = "text_classification" if type_ == "multi_label_classification" else type_  # of which there is no recipe
    found = copy.deepcopy(next(task for tasks in recipes for task in tasks.values() if task["type"] == wanted))
    if wanted != type_:
        found |= {"type": type_, "mitigation": {"rows": False, "transfer": False}}
        found["gate"] |= {"metric": TASK_TYPES[type_].metrics[0], "max_flip_rate": None}
        found["evaluate"]["identity_groups"] = []
    return found


def _task(name: str, family: str, training: dict[str, Any], masked: bool) -> dict[str, Any]:
    type_ = TASKS[name][0]
    task = copy.deepcopy(_recipe(type_))
    task |= {"dataset": name, "labels": LABELS.get(name, []), "max_length": LENGTH}
    task["transfer"] |= {"sentences": 0, "recombined": 0, "replaced": 40 if masked and name == "reviews" else 0}
    task["student"] |= {"architecture": _shape(family), "vocabulary_size": None}
    task["finetune"] |= {"dropout": 0.0, "label_smoothing": 0.0, "consistency": 0.0}
    task["finetune"]["teachers"] = 2 if name == "topics" else 1
    # a decoder alone that was hardly pretrained ends what it writes at once, until it has learnt what a prompt is
    epochs = 24 if TASK_TYPES[type_].columns == ("target",) and family != "encoder_decoder" else 8
    for stage in ("finetune", "distill"):
        task[stage]["training"] = TRAINING | {"epochs": epochs, "patience": None} | training
    if task["generation"]:
        task["generation"] |= {"max_tokens": WRITTEN, "beams": 1, "temperature": 0.0, "top_p": 1.0}
    task["evaluate"] |= {"bootstrap_samples": 100, "slices": ["length"]}
    task["gate"] |= {"min_rows": 5, "bootstrap_samples": 1000}
    return task


def run(stage: str, params: Params, models: str, key: str = "", **paths: str) -> None:
    """Run a stage in this process with the paths of dvc.yaml, for the dataset or task `key` where it has several.

    What comes of a model lies in the folder `models`; what the datasets are is the same for all. `paths` replace
    further ones of `vars` in dvc.yaml.
    """
    stated = DAG["vars"][0]["path"]
    shared = ("ingested", "held_out", "validated", "quarantined")
    places = {name: path if name in shared else f"{models}/{path}" for name, path in stated.items()} | paths
    node = DAG["stages"][stage]
    section = node["foreach"].strip("${}") if "foreach" in node else ""
    values = params.model_dump() | {"path": places, "key": key}
    if section:
        values["item"] = values[section][key]

    def value(match: re.Match[str]) -> str:
        found: Any = values
        for part in match[1].split("."):
            found = found[part]
        return str(found)

    words = shlex.split(re.sub(r"\$\{([\w.]+)\}", value, node.get("do", node)["cmd"]))
    module = importlib.import_module(words[words.index("-m") + 1])
    options = words[words.index("-m") + 2 :]
    given = {
        name.removeprefix("--").replace("-", "_"): text for name, text in zip(options[::2], options[1::2], strict=True)
    }
    kinds = inspect.signature(module.run, eval_str=True).parameters
    module.run(params, **{name: kinds[name].annotation(text) for name, text in given.items()})
