"""Model families by the name that params.yaml gives them; the chosen one is imported when it is called for.

`ARCHITECTURES["bert"]()` is a module with `build` (random weights) and `load` (weights of a folder).
"""

from collections.abc import Callable
from types import ModuleType


def _bert() -> ModuleType:
    from pipeline.architectures import bert

    return bert


ARCHITECTURES: dict[str, Callable[[], ModuleType]] = {"bert": _bert}
