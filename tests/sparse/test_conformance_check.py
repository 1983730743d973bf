"""`check_method`, which people's own tests call, passes what keeps the promises and names what does not."""

from __future__ import annotations

from collections.abc import Iterator

import plugin_files
import pytest
import torch

from chtexp.plugins import regrowth
from chtexp.sparse import engine, load_method, method_names
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


def test_a_rule_that_remembers_is_found_when_it_resumes() -> None:
    calls: list[int] = []

    def remembers(mask_OI: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return torch.arange(mask_OI.numel()).roll(len(calls) // 3 % 7).view(mask_OI.shape).float()

    regrowth("remembers")(remembers)
    with pytest.raises(BrokenPromise):
        check_method(load_method("set", sparsity=0.8, regrowth={"rule": "remembers", "soft": False}))


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
