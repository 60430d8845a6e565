"""tokenize: what it writes for teacher and student can be read back; no tokenization stage loads torch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.files import InputError, content_hash, sha256_of_file
from pipeline.schema import CANONICAL
from pipeline.tokenization.folder import load_tokenizer
from pipeline.tokenization.ragged import UNLABELLED, TokenRows
from tests.span_dataset import SPAN_DATASET
from tests.stages.tokenization_project import (
    CORPUS,
    ROOT,
    ROWS,
    TOKENIZER,
    params,
    run_tokenize,
    run_train_tokenizer,
    texts,
    write_spans,
    write_table,
)

pytestmark = pytest.mark.usefixtures("tokenization_project")


def test_rows_and_transfer_sentences_for_teacher_and_student() -> None:
    settings = params()
    run_train_tokenizer(settings)
    out = run_tokenize(settings)
    teacher_tokenizer, _ = load_tokenizer(TOKENIZER)
    student_tokenizer, _ = load_tokenizer(Path("models/student_tokenizer"))
    sentences = pq.read_table("transfer/sentiment.parquet")
    assert sentences.column_names == ["id", "text"]
    assert sentences["id"].to_pylist() == sorted(sentences["id"].to_pylist())
    expected = {split: texts(ROWS / f"{split}.parquet") for split in ("train", "dev", "test")}
    expected["transfer"] = texts(Path("transfer/sentiment.parquet"))
    assert len(expected["transfer"]) == 60
    for name, tokenizer in (("teacher", teacher_tokenizer), ("student", student_tokenizer)):
        tokenizer.enable_truncation(16)
        for split, wanted in expected.items():
            rows = TokenRows.load(out / name / split)
            assert [row.tolist() for row in rows] == [encoding.ids for encoding in tokenizer.encode_batch(wanted)]
            labels = [UNLABELLED] * 60 if split == "transfer" else [i % 2 for i in range(len(wanted))]
            assert rows.labels.tolist() == labels


def test_people_are_exchanged_and_the_teacher_reads_the_text_as_it_was() -> None:
    settings = params()
    run_train_tokenizer(settings)
    for folder, split in ((ROWS, "train"), (ROWS, "dev"), (CORPUS, "train")):
        found = texts(folder / f"{split}.parquet")
        table = [f"Bafu king {text}" if row % 2 else text for row, text in enumerate(found)]
        write_table(folder / f"{split}.parquet", table, ["negative", "positive"] if folder == ROWS else None)
    run_tokenize(settings)
    plain = pq.read_table("transfer/sentiment.parquet")["text"].to_pylist()
    assert len(TokenRows.load(Path("tokens/sentiment/teacher/counterfactuals"))) == 0

    mitigated = params(tasks__sentiment__mitigation={"rows": True, "transfer": True})
    out = run_tokenize(mitigated)
    first = content_hash(out)
    sentences = pq.read_table("transfer/sentiment.parquet")
    assert sentences["id"].to_pylist() == sorted(sentences["id"].to_pylist())
    read_by_student = sentences["text"].to_pylist()
    made = set(read_by_student) - set(plain)
    rows = [text.replace("king", "queen") for text in texts(ROWS / "train.parquet") if "king" in text]
    assert made == {text.replace("king", "queen") for text in plain if "king" in text} | set(rows)

    teacher, _ = load_tokenizer(TOKENIZER)
    student, _ = load_tokenizer(Path("models/student_tokenizer"))
    for tokenizer in (teacher, student):
        tokenizer.enable_truncation(16)
    read_by_teacher = [text.replace("queen", "king") for text in read_by_student]
    for name, tokenizer, expected in (("teacher", teacher, read_by_teacher), ("student", student, read_by_student)):
        found_rows = TokenRows.load(out / name / "transfer")
        assert [row.tolist() for row in found_rows] == [one.ids for one in tokenizer.encode_batch(expected)]
        assert set(found_rows.labels.tolist()) == {UNLABELLED}
    about_others = TokenRows.load(out / "teacher" / "counterfactuals")
    assert [row.tolist() for row in about_others] == [one.ids for one in teacher.encode_batch(rows)]
    assert about_others.labels.tolist() == [1] * len(rows)  # every second row is positive
    assert content_hash(run_tokenize(mitigated)) == first


def test_training_rows_of_both_sides_weigh_what_balances_their_groups() -> None:
    settings = params()
    run_train_tokenizer(settings)
    out = run_tokenize(settings)
    assert not list(out.rglob("weights.npy"))
    # 40 rows, every second one positive: 10 from Rome, 8 of which are, and 30 from elsewhere, 12 of which are
    table = pq.read_table(ROWS / "train.parquet")
    from_rome = {*range(1, 17, 2), 0, 2}
    cities = [[("city", "Rome" if row in from_rome else "")] for row in range(40)]
    kept = pa.array(cities, CANONICAL.field("metadata").type)
    pq.write_table(table.append_column("metadata", kept), ROWS / "train.parquet")
    mitigation = {"rows": False, "transfer": False, "reweight_by_column": "city"}
    columns = {"text": "text", "label": "label", "source": "source", "metadata": ["city"]}
    out = run_tokenize(params(tasks__sentiment__mitigation=mitigation, datasets__rotten_tomatoes__columns=columns))
    of_city = {(True, 1): 10 * 20 / 8, (True, 0): 10 * 20 / 2, (False, 1): 30 * 20 / 12, (False, 0): 30 * 20 / 18}
    expected = [of_city[row in from_rome, row % 2] / 40 for row in range(40)]
    for side in ("teacher", "student"):
        assert TokenRows.load(out / side / "train").weights == pytest.approx(expected)
        assert TokenRows.load(out / side / "dev").weights is None

    texts_of_rows = [f"king {text}" if row % 2 else text for row, text in enumerate(texts(ROWS / "train.parquet"))]
    write_table(ROWS / "train.parquet", texts_of_rows, ["negative", "positive"])
    mitigation = {"rows": True, "transfer": False, "reweight_by_terms": "gender"}
    out = run_tokenize(params(tasks__sentiment__mitigation=mitigation))
    assert TokenRows.load(out / "teacher/train").weights == pytest.approx([0.5] * 40)  # no king is negative


TAGGER = {
    "tasks__sentiment__type": "token_classification",
    "tasks__sentiment__evaluate__slices": [],
    "tasks__sentiment__evaluate__identity_groups": [],
    "tasks__sentiment__gate__metric": "span_f1",
} | {f"datasets__rotten_tomatoes__{key}": value for key, value in SPAN_DATASET.items()}


def test_words_carry_tags_and_both_sides_have_the_same_words() -> None:
    settings = params(**TAGGER)
    run_train_tokenizer(settings)
    for split in ("train", "dev", "test"):
        found = texts(ROWS / f"{split}.parquet")
        write_spans(ROWS / f"{split}.parquet", found, [[(0, text.index(" "), "positive")] for text in found])
    out = run_tokenize(settings)
    moved = 0
    for split in ("train", "dev", "test", "transfer"):
        teacher, student = (TokenRows.load(out / name / split) for name in ("teacher", "student"))
        assert teacher.labels.tolist() == student.labels.tolist()
        assert teacher.targets.tolist() == student.targets.tolist()
        moved += int((teacher.positions != student.positions).sum())
        firsts = student.labels[student.targets[:-1]].tolist()
        assert set(firsts) == {UNLABELLED if split == "transfer" else 3}  # B-positive
        for row in range(len(student)):
            places = student.positions[student.targets[row] : student.targets[row + 1]]
            assert (np.diff(places) > 0).all() and places[0] == 1 and places[-1] < len(student[row]) - 1
    assert moved  # a smaller vocabulary has shorter pieces


def test_a_span_of_another_label_is_named() -> None:
    settings = params(**TAGGER)
    run_train_tokenizer(settings)
    write_spans(ROWS / "train.parquet", ["Bafu codi."], [[(0, 4, "animal")]])
    with pytest.raises(InputError, match=r"train\.parquet: row 0{16}: span label 'animal', expected one of"):
        run_tokenize(settings)


def test_the_students_vocabulary_maps_to_the_teachers() -> None:
    settings = params()
    run_train_tokenizer(settings)
    run_tokenize(settings)
    folder = Path("models/student_tokenizer")
    first = content_hash(folder)
    teacher, special_tokens = load_tokenizer(TOKENIZER)
    student, _ = load_tokenizer(folder)
    teacher_ids = np.load(folder / "teacher_ids.npy", allow_pickle=False)
    assert len(teacher_ids) == student.get_vocab_size() == 120
    assert all(student.id_to_token(i) == teacher.id_to_token(int(j)) for i, j in enumerate(teacher_ids))
    unknown = student.token_to_id(special_tokens["unk_token"])
    assert not any((row == unknown).any() for row in TokenRows.load(Path("tokens/sentiment/student/test")))
    run_tokenize(settings)
    assert content_hash(folder) == first


def test_without_a_size_the_student_keeps_the_teachers_tokenizer() -> None:
    settings = params(tasks__sentiment__student__vocabulary_size=None)
    run_train_tokenizer(settings)
    out = run_tokenize(settings)
    for split in ("train", "dev", "test", "transfer"):
        assert content_hash(out / "teacher" / split) == content_hash(out / "student" / split)
    assert sha256_of_file(TOKENIZER / "tokenizer.json") == sha256_of_file(
        Path("models/student_tokenizer/tokenizer.json")
    )
    assert np.load("models/student_tokenizer/teacher_ids.npy").tolist() == list(range(140))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"student__vocabulary_size": 141},
            r"^tasks\.sentiment\.student\.vocabulary_size: 141, expected \d+ .* to 140",
        ),
        (
            {"transfer": {"sentences": 9, "min_words": 50, "max_words": 60, "selection": "uniform", "recombined": 0}},
            r"^tasks\.sentiment\.transfer: .* has no sen",
        ),
        (
            {"max_length": 65, "student__architecture__max_length": 65},
            r"^tasks\.sentiment\.max_length: 65, .* at most 64",
        ),
    ],
)
def test_what_the_text_cannot_give_is_refused(changes: dict[str, Any], line: str) -> None:
    run_train_tokenizer(params())
    settings = params(**{f"tasks__sentiment__{path}": value for path, value in changes.items()})
    with pytest.raises(InputError, match=line):
        run_tokenize(settings)


def test_a_label_outside_the_task_is_named() -> None:
    run_train_tokenizer(params())
    write_table(ROWS / "dev.parquet", ["Bafu.", "Codi."], ["negative", "mixed"])
    with pytest.raises(InputError, match=r"dev\.parquet: row 0{15}1: label 'mixed', expected one of \['negative', "):
        run_tokenize(params())


def test_no_stage_loads_torch() -> None:
    script = (
        "import sys, pipeline.stages.train_tokenizer, pipeline.stages.tokenize_corpus, pipeline.stages.tokenize;"
        "assert not {'torch', 'transformers', 'datasets', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
