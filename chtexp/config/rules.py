"""The names of the rules that methods are made of, and what each needs: known without loading what computes them.

`chtexp.topology` and `chtexp.sparse` hold the rules themselves; the two are kept equal by a test, and a rule that a person adds
there (`GROWTH["mine"] = ...`) is known here at once.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])

TOPOLOGIES: dict[str, tuple[str, ...]] = {  # with the parameters of each
    "er": (),
    "brf": ("r", "degree"),
    "bsw": ("beta",),
    "bsf": ("equal_partition", "resort", "previous_output_degrees"),
    "csti": ("correlation",),
}
SHARES = {"brf": ("r",), "bsw": ("beta",)}  # parameters of topologies that lie in [0, 1]
REMOVAL = {"wm", "ri", "set", "mest", "snip", "sensitivity", "rsensitivity"}
REGROWTH = {"random", "gradient", *(f"{rule}_{path}" for rule in ("ch2", "ch3", "ch3_1") for path in ("l3n", "l3p"))}
READ_GRADIENT = {"mest", "snip", "sensitivity", "rsensitivity", "gradient"}  # the loss's dense gradient


class Registry(UserDict[str, F]):
    """Rules by name. A name that is added is one that methods may choose.

    Args:
        names: the names that methods may choose.
        rules: the rules that there are.
    """

    def __init__(self, names: set[str], rules: dict[str, F]) -> None:
        self._names = names
        super().__init__(rules)

    def __setitem__(self, name: str, rule: F) -> None:
        self._names.add(name)
        super().__setitem__(name, rule)
