"""Pack what the ablation reads of a finished run into a small folder, for a machine that has nothing else of it.

    python benchmarks/ablation_inputs.py OUT [--task sentiment] [--held-out FILE]

The teacher's weights are packed in bfloat16, as it labels in. No row of test goes along. FILE, sentence<TAB>label with
a header, such as SST-2's, adds labelled sentences to those that the students are read on: each that overlaps, by the
dataset's own rules of decontamination, with no row of train, dev, test or the transfer set, that is no labelled row in
another spelling and no phrase of another sentence. Labels are the numbers of params.yaml's labels.
"""

import argparse
import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from pipeline.params import Params, load_params
from pipeline.sources.overlap import overlapping
from pipeline.tokenization.encoding import encode_rows
from pipeline.tokenization.folder import load_tokenizer
from pipeline.training.snapshots import load_tensors, save_tensors

LIKE = 0.5  # cosine of TF-IDF over four characters; above it nearly all are one sentence


def pack_teacher(teacher: Path, out: Path) -> None:
    """Write the teacher in `teacher` to `out`, its weights in bfloat16."""
    out.mkdir(parents=True)
    shutil.copy(teacher / "config.json", out)
    tensors = load_tensors(teacher / "model.safetensors")
    save_tensors({name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()}, out / "model.safetensors")


def new_sentences(file: Path, params: Params, task: str) -> tuple[list[str], np.ndarray]:
    """Return the sentences of `file` that no row of the task's is like, and their labels, int64 (sentences,)."""
    rows = Path("data/validated") / params.tasks[task].dataset
    labelled = [text for split in ("train", "dev", "test") for text in _texts(rows / f"{split}.parquet")]
    known = labelled + _texts(Path("data/transfer") / f"{task}.parquet")
    with file.open(encoding="utf-8", newline="") as lines:
        read = [(line[0].strip(), int(line[1])) for line in list(csv.reader(lines, "excel-tab", quoting=3))[1:]]
    rules = params.datasets[params.tasks[task].dataset].decontamination
    texts = list(dict.fromkeys(text for text, _ in read))
    # phrases of sentences stand in such files too, and a phrase would be held out beside its own sentence
    new = [text for text, old in zip(texts, overlapping(texts, known, rules), strict=True) if not old]
    apart = _spelled_apart(_longest_first(new, rules.min_letters), labelled)
    labels = dict(read)
    return apart, np.array([labels[text] for text in apart], dtype=np.int64)


def _longest_first(texts: list[str], min_letters: int) -> list[str]:
    """Return the texts whose letters stand in no longer one's; those of too few letters to tell are left out."""
    letters = {text: "".join(sign for sign in text.lower() if sign.isalnum()) for text in texts}
    kept: list[str] = []
    whole = ""
    for text in sorted(texts, key=lambda text: (-len(letters[text]), text)):
        if len(letters[text]) >= min_letters and letters[text] not in whole:
            kept.append(text)
            whole += f"\n{letters[text]}"
    return sorted(kept)


def _spelled_apart(texts: list[str], rows: list[str]) -> list[str]:
    """Return the texts without those that are a row in another spelling: humor for humour, n't for not."""
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 4)).fit([*rows, *texts])
    likeness = vectors.transform(texts) @ vectors.transform(rows).T
    nearest = likeness.max(axis=1).toarray().ravel()
    return [text for text, found in zip(texts, nearest, strict=True) if found < LIKE]


def _texts(file: Path) -> list[str]:
    return list(map(str, pq.read_table(file, columns=["text"])["text"].to_pylist()))


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--task", default="sentiment")
    parser.add_argument("--held-out", type=Path)
    options = parser.parse_args()
    params, models = load_params(Path("params.yaml")), Path("models")
    pack_teacher(models / options.task / "teacher", options.out / "models" / options.task / "teacher")
    shutil.copy("params.yaml", options.out)
    vocabularies = {"teacher": models / "tokenizer", "student": models / options.task / "student_tokenizer"}
    tokens = Path("data/tokens") / options.task
    found = new_sentences(options.held_out, params, options.task) if options.held_out else None
    for side, vocabulary in vocabularies.items():
        shutil.copytree(vocabulary, options.out / vocabulary)
        for split in ("train", "dev", "transfer"):
            shutil.copytree(tokens / side / split, options.out / tokens / side / split)
        if found is not None:
            tokenizer, _ = load_tokenizer(vocabulary)
            limit = params.tasks[options.task].max_length
            encode_rows(tokenizer, *found, limit).save(options.out / tokens / side / "held_out")
    if found is not None:
        texts, labels = found
        print(f"{len(texts):,} sentences held out, {100 * labels.mean():.1f} % of the second label")


if __name__ == "__main__":
    main()
