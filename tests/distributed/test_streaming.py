"""A corpus larger than the machine's memory: training reads the rows of each batch from disk, and keeps none."""

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.objectives.causal_lm import CausalLM
from pipeline.tokenization.ragged import open_array
from pipeline.training.batches import Batches

LENGTH, BATCH_SIZE = 2_048, 64
BYTES_A_ROW = 24  # the order of the rows of one pass, twice while it is made, and their batches
MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
ROWS = int(1.25 * MEMORY) // (2 * LENGTH)


def own_memory() -> int:
    """Return the bytes that this process holds itself; pages of mapped files are the system's, to drop as it likes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


@pytest.mark.slow
def test_batches_of_a_corpus_that_does_not_fit_into_memory(tmp_path: Path) -> None:
    file = tmp_path / "input_ids.npy"
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint16, shape=(ROWS, LENGTH))
    array[12_345] = 7  # the rest is a hole in the file
    del array
    assert file.stat().st_size > MEMORY

    rows = open_array(file)
    objective = CausalLM(1, across_documents=True)
    lengths = np.broadcast_to(np.int64(LENGTH), ROWS)
    before = own_memory()

    def read(start: int) -> list[np.ndarray]:
        batches = Batches(rows, objective.collate, lengths, BATCH_SIZE, seed=1, steps=110, start=start)
        return [batch["parts"][0][0]["input_ids"].numpy().astype(np.uint16) for batch in batches]

    from_the_middle = read(100)
    assert own_memory() - before < ROWS * BYTES_A_ROW + 2**27
    assert all(np.array_equal(one, other) for one, other in zip(read(0)[100:], from_the_middle, strict=True))
