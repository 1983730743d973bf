"""The names of everything that ships, by kind: what plug-ins must call otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from chtexp.config.families import FAMILIES
from chtexp.config.own_images import SOURCE_NAMES
from chtexp.config.rules import REGROWTH, REMOVAL, TOPOLOGIES
from chtexp.config.schedules import SCHEDULES

SHIPPED: Mapping[str, frozenset[str]] = {
    "topology": frozenset(TOPOLOGIES),
    "removal": frozenset(REMOVAL),
    "regrowth": frozenset(REGROWTH),
    "density": frozenset(SCHEDULES),
    "model": frozenset(name for family in FAMILIES for name in family.models),
    "task": frozenset(family.task for family in FAMILIES),
    "data": frozenset(SOURCE_NAMES),
}
