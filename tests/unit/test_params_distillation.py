"""What the losses of distillation and the student's first weights ask of params.yaml, each named by its key."""

import copy
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.preflight import check_surroundings
from pipeline.files import InputError
from pipeline.params import check_params, read_yaml
from pipeline.params.task_types import OF_ATTENTION, OF_HEADS, OF_LAYER_MAP, OF_LAYERS, OF_RELATION_MAP, RELATIONS
from pipeline.smoke import at_smoke_scale
from tests.shipped_params import shipped_values

ROOT = Path(__file__).parents[2]
FROM_NOTHING = read_yaml(ROOT / "recipes/sentiment-from-scratch.yaml")  # its teacher's shape stands in the file
ADOPTED = shipped_values()  # its teacher's shape is that of a package: 6 layers, 384 wide, 12 heads
MAPS = {"layer_map": [[1, 1]], "relation_map": [[1, 1]], "relation_heads": 4, "jensen_shannon_share": 0.5}


def values(given: dict[str, Any], loss: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return given values with all that losses read and `loss` weighing 0.5; changes of the task, dots as `__`."""
    found = copy.deepcopy(given)
    task = found["tasks"]["sentiment"]
    task["student"]["vocabulary_size"] = None
    task["distill"] |= MAPS
    if loss:
        task["distill"]["losses"][loss] = 0.5
    for path, value in changes.items():
        *parents, last = path.split("__")
        section = task
        for parent in parents:
            section = section[parent]
        section[last] = value
    return found


def problem(given: dict[str, Any]) -> str:
    with pytest.raises(InputError) as error:
        check_params(given, Path("params.yaml"))
    return str(error.value).removeprefix("params.yaml: tasks.sentiment.")


@pytest.mark.parametrize("loss", OF_LAYERS)
def test_a_bilstm_has_no_layers_to_compare(loss: str) -> None:
    shape = {"student__architecture__family": "bilstm", "student__architecture__attention_heads": None}
    assert problem(values(ADOPTED, loss, **shape)) == (
        f"distill.losses.{loss}: must be 0 where tasks.sentiment.student.architecture.family is bilstm, whose layers "
        "are not the teacher's kind, got 0.5"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"student__architecture__family": "bilstm"},
            "student.architecture: attention_heads must be null for family bilstm, got 6",
        ),
        (
            {"student__architecture__attention_heads": None},
            "student.architecture: attention_heads must be given for family bert, got None",
        ),
        (
            {
                "student__architecture__family": "bilstm",
                "student__architecture__attention_heads": None,
                "student__architecture__hidden_size": 191,
            },
            "student.architecture: hidden_size must be even for family bilstm, got 191",
        ),
    ],
)
def test_a_bilstm_has_no_heads_and_two_directions(changes: dict[str, Any], expected: str) -> None:
    assert problem(values(ADOPTED, **changes)) == expected


def test_a_bilstm_is_no_language_model() -> None:
    given = values(FROM_NOTHING)
    given["pretrain"]["architecture"] |= {"family": "bilstm", "attention_heads": None}
    assert problem(given) == (
        "params.yaml: pretrain.architecture.family: must be bert or roberta or modernbert or gpt or llama or "
        "encoder_decoder, which can be language models, got bilstm"
    )


@pytest.mark.parametrize("loss", OF_ATTENTION)
def test_losses_of_attention_need_a_family_that_shows_it(loss: str) -> None:
    found = problem(values(ADOPTED, loss, student__architecture__family="gpt"))
    assert found.startswith(
        f"distill.losses.{loss}: must be 0 where tasks.sentiment.student.architecture.family is none"
    )


@pytest.mark.parametrize(
    ("key", "missing", "losses"),
    [
        ("layer_map must pair layers", {"distill__layer_map": []}, OF_LAYER_MAP),
        ("relation_map must pair layers", {"distill__relation_map": []}, OF_RELATION_MAP),
        ("relation_heads must be given", {"distill__relation_heads": None}, RELATIONS),
        ("jensen_shannon_share must be given", {"distill__jensen_shannon_share": None}, ("jensen_shannon",)),
    ],
)
def test_what_a_loss_reads_has_to_be_there(key: str, missing: dict[str, Any], losses: tuple[str, ...]) -> None:
    for loss in losses:
        assert problem(values(ADOPTED, loss, **missing)) == f"distill: {key} when losses.{loss} has a weight, got none"
    check_params(values(ADOPTED, **missing), Path("params.yaml"))


def test_a_teacher_that_writes_is_not_asked_again() -> None:
    given = read_yaml(ROOT / "recipes/multi30k.yaml")
    (task,) = given["tasks"]
    given["tasks"][task]["distill"]["online"] = True
    with pytest.raises(InputError, match=f"tasks.{task}.distill: online must be false when losses.sequences has a"):
        check_params(given, Path("params.yaml"))


@pytest.mark.parametrize("loss", RELATIONS)
def test_relation_heads_divide_the_students_width(loss: str) -> None:
    found = problem(values(ADOPTED, loss, distill__relation_heads=5))
    assert found == "distill.relation_heads: must divide 192, the student's width, got 5"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_mixture_is_of_both(share: float) -> None:
    assert problem(values(ADOPTED, distill__jensen_shannon_share=share)).startswith(
        "distill.jensen_shannon_share: must"
    )


@pytest.mark.parametrize("loss", OF_HEADS)
def test_a_teacher_that_params_yaml_describes_is_held_against_the_student(loss: str) -> None:
    heads = FROM_NOTHING["pretrain"]["architecture"]["attention_heads"]
    own = {"student__architecture__hidden_size": 8 * heads, "student__architecture__attention_heads": 2 * heads}
    found = problem(values(FROM_NOTHING, loss, **own))
    assert found.startswith(f"student.architecture.attention_heads: must be {heads}, the teacher's, when {loss} has")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"loss": "attentions", "student__architecture__attention_heads": 6},
            "student.architecture.attention_heads: must be 12, the teacher's, when attentions",
        ),
        (
            {"loss": "hidden_states", "distill__layer_map": [[2, 7]]},
            "distill.layer_map: got [2, 7], expected student layers from 0 to 2 and",
        ),
        ({"student__embeddings": "teacher"}, "student.architecture.hidden_size: must be 384, the teacher's, when stud"),
    ],
)
def test_the_shape_of_weights_that_are_adopted_is_held_against_the_student(
    change: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    given = check_params(values(ADOPTED, **change), Path("params.yaml"))
    with pytest.raises(InputError) as error:
        check_surroundings(given)
    assert str(error.value).startswith(f"params.yaml: tasks.sentiment.{expected}")


def test_relations_do_with_other_heads_than_those_of_adopted_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    check_surroundings(
        check_params(values(ADOPTED, "value_relations", distill__relation_heads=64), Path("params.yaml"))
    )


def test_relation_heads_fit_the_narrow_models_of_a_smoke_test() -> None:
    given = values(FROM_NOTHING, "value_relations", distill__relation_heads=6)
    given["tasks"]["sentiment"]["student"]["architecture"] |= {"hidden_size": 48, "attention_heads": 2}
    given["pretrain"]["architecture"] |= {"hidden_size": 96, "attention_heads": 2}
    check_params(given, Path("params.yaml"))
    check_params(at_smoke_scale(given), Path("params.yaml"))
