"""`check_method`, which people's own tests call, passes what keeps the promises and names what does not."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import plugin_files
import pytest
import torch

from chtexp.plugins import regrowth
from chtexp.sparse import conformance, engine, load_method, method_names, rewiring
from chtexp.sparse.conformance import BrokenPromise, check_method


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with plugin_files.nothing_left():
        yield


@pytest.mark.parametrize("name", [name for name in method_names() if "/" not in name and name != "fc"])
def test_every_method_passes(name: str) -> None:
    check_method(load_method(name, sparsity=0.8))


def test_a_rule_with_randomness_of_its_own_is_found() -> None:
    regrowth("global_draws")(lambda mask_OI: torch.rand(mask_OI.shape))
    with pytest.raises(
        BrokenPromise, match="the same seed gives other links the second time in layer '0': draw from the"
    ):
        check_method(load_method("set", sparsity=0.8, regrowth={"rule": "global_draws"}))


@pytest.mark.parametrize(
    ("name", "breaks", "said"),
    [
        ("load_training_state", lambda sparsity, state: None, "a training that is resumed in the middle"),
        ("_links_of", lambda sparsity: sparsity.links + 100, "density 0.2 was due"),
    ],
)
def test_what_is_resumed_and_how_many_links_there_are_is_checked(name, breaks, said, monkeypatch) -> None:
    monkeypatch.setattr(conformance, name, breaks)
    with pytest.raises(BrokenPromise, match=said):
        check_method(load_method("set", sparsity=0.8))


def test_executions_that_differ_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = rewiring.Rewiring._regrown

    def otherwise(self, before, kept, budgets):
        if before.layers[0].execution == "csr":
            self = copy.copy(self)
            self._seed += 1
        return drawn(self, before, kept, budgets)

    monkeypatch.setattr(rewiring.Rewiring, "_regrown", otherwise)
    with pytest.raises(BrokenPromise, match="execution=csr gives other links than execution=dense"):
        check_method(load_method("set", sparsity=0.8))


def test_a_dense_method_has_no_links() -> None:
    with pytest.raises(BrokenPromise, match="FC is dense"):
        check_method(load_method("fc"))


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (lambda layer: layer.weight.data.masked_fill_(~layer.mask_OI, 1e-3), "absent links of layer '0' have weights"),
        (
            lambda layer: layer.weight.data.masked_fill_(layer.mask_OI, 1e-3),
            "links that grew in layer '0' do not begin at zero",
        ),
    ],
)
def test_an_engine_that_breaks_a_promise_is_found(breaks, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = engine.DynamicSparsity.update_topology

    def broken(self):
        record = whole(self)
        if record and self.layers[0].execution == "dense":
            breaks(self.layers[0])
        return record

    monkeypatch.setattr(engine.DynamicSparsity, "update_topology", broken)
    with pytest.raises(BrokenPromise, match=said):
        check_method(load_method("set", sparsity=0.8))
