"""Several processes for one stage: torchrun starts the stage's own command once for each of them.

On one machine nothing else is needed. On several the same command runs on each, and torchrun's own variables say where
they meet: PET_NNODES machines, this one the PET_NODE_RANK-th (from 0), the first one reached at PET_RDZV_ENDPOINT.
"""

import logging
import os
import tempfile
from typing import TYPE_CHECKING

from pipeline.files import InputError

if TYPE_CHECKING:
    from pipeline.params import RuntimeParams


def launch(runtime: "RuntimeParams", command: list[str]) -> tuple[int, str]:
    """Run `python -m COMMAND` in `runtime.processes` processes and return (exit code, one line) of what failed first.

    (0, "") is all well. A process ended by a signal counts before those that lost it.
    Raises InputError where the machines cannot share out the processes; SystemExit when a signal ends this process.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    machines = _machines(runtime.processes)
    os.environ["OMP_NUM_THREADS"] = str(runtime.threads)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP's advice, a page for every process that loses another
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what failed is the line below
    with tempfile.TemporaryDirectory() as notes:  # where a process leaves the line of its error
        here = ["--standalone"] if machines == 1 else []
        processes = f"--nproc-per-node={runtime.processes // machines}"
        try:
            run(parse_args([*here, processes, f"--log-dir={notes}", "--module", *command]))
        except SignalException:
            raise SystemExit(143) from None
        except ChildFailedError as failed:
            rank, first = min(failed.failures.items(), key=lambda item: (item[1].exitcode > 0, item[1].timestamp))
            if first.exitcode < 0:
                return 1, f"process {rank} of {runtime.processes} was ended by {first.signal_name()}"
            return first.exitcode, str(first.message)
    return 0, ""


def _machines(processes: int) -> int:
    machines = os.environ.get("PET_NNODES", "1")
    if not machines.isdecimal() or not int(machines) or processes % int(machines):
        raise InputError(f"PET_NNODES: must divide runtime.processes ({processes}), got {machines}")
    if int(machines) > 1:
        for variable in ("PET_NODE_RANK", "PET_RDZV_ENDPOINT"):
            if variable not in os.environ:
                raise InputError(f"{variable}: must be set where PET_NNODES is {machines}, found nothing")
    return int(machines)
