"""The names of rules, which descriptions know, are those of the rules there are."""

from __future__ import annotations

import pytest

from chtexp.config import rules
from chtexp.config.method import Regrowth
from chtexp.config.text import FORMATS
from chtexp.data.text.raw import FORMATS as READERS
from chtexp.sparse import GROWTH
from chtexp.sparse.criteria import CRITERIA
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


def test_a_rule_that_is_added_may_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="unknown regrowth rule 'mine'"):
        Regrowth(rule="mine")
    monkeypatch.setattr(GROWTH, "_names", names := set(rules.REGROWTH))
    monkeypatch.setattr("chtexp.config.method.REGROWTH", names)
    GROWTH["mine"] = lambda mask_OI, gradient_OI: mask_OI.float()
    try:
        assert Regrowth(rule="mine").rule == "mine"
    finally:
        del GROWTH["mine"]
