"""The names of the rules that methods are made of, and what each needs: known without loading what computes them.

`chtexp.topology` and `chtexp.sparse` hold the rules themselves; the two are kept equal by a test. Rules of plug-ins are in
`chtexp.config.plugged`.
"""

from __future__ import annotations

from collections.abc import Mapping

from chtexp.config.plugged import PLUGGED
from chtexp.errors import unknown

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


def check_rule(kind: str, title: str, name: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """Check that a rule exists, and that it takes the parameters that a configuration sets.

    Args:
        kind: `topology`, `removal`, `regrowth` or `density`.
        title: of the kind, for messages.
        name: of the rule.
        parameters: those that are set. Topologies and density schedules that are shipped check their own.

    Returns:
        The parameters that are set, of a plug-in's rule in the types that it declares.

    Raises:
        UserError: the rule is unknown, or a parameter is wrong.
    """
    if name not in PLUGGED.shipped(kind):
        one = PLUGGED.get(kind, name)
        if one is None:
            raise PLUGGED.unknown(kind, title, name)
        checked = one.described(parameters)
        return {name: getattr(checked, name) for name in parameters} if checked else dict(parameters)
    if parameters and kind in ("removal", "regrowth"):
        raise unknown(
            "key", f"method.{kind}.{next(iter(parameters))}", [f"method.{kind}.{key}" for key in ("rule", "soft")]
        )
    return dict(parameters)


def reads_gradient(kind: str, name: str) -> bool:
    """Tell whether a rule reads the loss's dense gradient.

    Args:
        kind: `removal` or `regrowth`.
        name: of the rule.
    """
    own = PLUGGED.found.get((kind, name))
    return own.reads_gradient if own else name in READ_GRADIENT


def topology_reads(name: str, what: str) -> bool:
    """Tell whether a topology reads something, e.g. `correlation`, the correlation of the training inputs."""
    own = PLUGGED.found.get(("topology", name))
    return what in (own.reads if own else TOPOLOGIES[name])
