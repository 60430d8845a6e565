"""Which rows stand in which batch."""

import numpy as np
import torch

from pipeline.training.batches import Batches, Row, collate_rows, epoch_batches, pad_rows, share


def test_an_epoch_holds_every_row_once_in_batches_of_nearly_equal_length() -> None:
    lengths = np.random.default_rng(0).integers(2, 60, size=1000)
    batches = epoch_batches(1000, 16, lengths, np.random.default_rng(1))
    assert sorted(np.concatenate(batches)) == list(range(1000))
    assert len(batches) == 63
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.03 * lengths.sum()
    means = np.array([lengths[batch].mean() for batch in batches])
    assert np.any(np.diff(means) < 0)
    assert np.any(np.diff(means) > 0)


def test_batches_are_a_function_of_seed_and_step_whatever_step_the_run_begins_at() -> None:
    def collate(rows: list[int], generator: np.random.Generator) -> dict[str, torch.Tensor]:
        return {"rows": torch.tensor(rows), "noise": torch.from_numpy(generator.random(len(rows)))}

    def made(start: int) -> list[tuple[list[int], list[float]]]:
        batches = Batches(range(10), collate, np.arange(10), 3, seed=5, steps=11, start=start)
        return [(part["rows"].tolist(), part["noise"].tolist()) for batch in batches for part, _ in batch["parts"]]

    assert made(7) == made(0)[7:]
    first, second = made(0)[:4], made(0)[4:8]
    assert first != second
    assert sorted(row for rows, _ in second for row in rows) == list(range(10))


def test_micro_batches_share_out_the_rows_of_a_batch() -> None:
    batches = Batches(range(5), lambda rows, _: {"rows": torch.tensor(rows)}, None, 5, seed=0, steps=1, micro_batches=2)
    [batch] = batches
    assert [len(part["rows"]) for part, _ in batch["parts"]] == [3, 2]
    assert batch["items"] == 5


def test_rows_are_padded_on_the_right_to_the_longest() -> None:
    ids, mask = pad_rows([np.array([5, 6, 7], dtype=np.uint16), np.array([8], dtype=np.uint16)], 9)
    assert ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_rows_with_a_second_text_say_which_tokens_are_its() -> None:
    single = Row(input_ids=np.array([2, 7, 3]), second=3, labels=np.array([1]), positions=np.array([0]))
    pair = Row(input_ids=np.array([2, 7, 3, 8, 3]), second=3, labels=np.array([0]), positions=np.array([0]))
    assert "token_type_ids" not in collate_rows([single, single], 0)
    batch = collate_rows([single, pair], 0)
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 0], [0, 0, 0, 1, 1]]
    assert batch["positions"].tolist() == [0, 5] and batch["labels"].tolist() == [1, 0]


def test_the_shares_of_a_batch_are_its_rows_with_their_targets() -> None:
    rows = [
        Row(input_ids=np.arange(3) + 10 * i, second=3, labels=np.arange(targets), positions=np.arange(targets))
        for i, targets in enumerate([1, 0, 2, 3, 1])
    ]
    batch = collate_rows(rows, 0) | {"teacher_logits": torch.arange(7.0)[:, None]}
    shares = [share(batch, rank, 2) for rank in range(2)]
    assert [counts for _, counts in shares] == [True, True]
    assert [own["input_ids"][:, 0].tolist() for own, _ in shares] == [[0, 10], [20, 30, 40]]
    assert [own["positions"].tolist() for own, _ in shares] == [[0], [0, 1, 3, 4, 5, 6]]
    assert [own["labels"].tolist() for own, _ in shares] == [[0], [0, 1, 0, 1, 2, 0]]
    assert [own["teacher_logits"].flatten().tolist() for own, _ in shares] == [[0.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]
    assert share(batch, 0, 1)[0] is batch


def test_where_rows_are_fewer_than_processes_some_compute_one_that_does_not_count() -> None:
    batch = {"input_ids": torch.arange(6).reshape(2, 3), "labels": torch.arange(4).reshape(2, 2)}
    shares = [share(batch, rank, 3) for rank in range(3)]
    assert [counts for _, counts in shares] == [False, True, True]
    assert [own["input_ids"].tolist() for own, _ in shares] == [[[0, 1, 2]], [[0, 1, 2]], [[3, 4, 5]]]
    assert [own["labels"].tolist() for own, _ in shares] == [[[0, 1]], [[0, 1]], [[2, 3]]]


def test_ranks_share_out_one_batch_with_the_masks_of_one_process() -> None:
    def collate(rows: list[int], generator: np.random.Generator) -> dict[str, torch.Tensor]:
        return {"rows": torch.tensor(rows), "noise": torch.from_numpy(generator.random(len(rows)))}

    def parts(rank: int, ranks: int) -> list[dict[str, torch.Tensor]]:
        batches = Batches(range(7), collate, None, 4, seed=5, steps=3, rank=rank, ranks=ranks)
        return [part for batch in batches for part, _ in batch["parts"]]

    for whole, first, second in zip(parts(0, 1), parts(0, 2), parts(1, 2), strict=True):
        for name, values in whole.items():
            assert torch.equal(torch.cat([first[name], second[name]]), values)
