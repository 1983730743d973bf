"""The names of rules, which descriptions know, are those of the rules there are."""

from __future__ import annotations

from chtexp.config import rules
from chtexp.config.text import FORMATS
from chtexp.data.text.raw import FORMATS as READERS
from chtexp.sparse.criteria import CRITERIA
from chtexp.sparse.growth import GROWTH
from chtexp.topology import CH_RULES, topology_names, topology_parameters


def test_every_rule_is_known_by_its_name_and_no_other() -> None:
    assert {name: set(topology_parameters(name)) for name in topology_names()} == {
        name: set(parameters) for name, parameters in rules.TOPOLOGIES.items()
    }
    assert set(CRITERIA) == rules.REMOVAL
    assert {"random", *GROWTH} == rules.REGROWTH
    assert set(CH_RULES) < rules.REGROWTH
    assert rules.READ_GRADIENT <= rules.REMOVAL | rules.REGROWTH
    assert set(READERS) == set(FORMATS)
