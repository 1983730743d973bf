"""Averaged copies of a model (torch's `AveragedModel`) follow its links: what leaves the network leaves the average, too.

torch tells of every module that becomes part of another (`register_module_module_registration_hook`). An `AveragedModel` that
copies a model in dynamic sparse training is recognised by that, and followed from then on.
Shapes: O outputs, I inputs, K links.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from functools import cache
from types import CodeType, FrameType
from typing import cast

import torch
from torch import nn

from chtexp.errors import UserError
from chtexp.sparse.cpu.csr import CsrLinear, arrange_sequentials, execute_dense, execute_links
from chtexp.sparse.layer import SparseLayer
from chtexp.sparse.links import Links
from chtexp.sparse.maps import LinearMap, form_of
from chtexp.sparse.wiring import named_modules, plain_model


class Averages:
    """The averaged copies of one model.

    Args:
        model: the model.
        layers: its sparse layers.
    """

    def __init__(self, model: nn.Module, layers: Sequence[SparseLayer]) -> None:
        self.model, self._layers = model, layers
        self._copies: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        _listen()
        _KNOWN.add(self)

    def add(self, copy: nn.Module) -> None:
        """Follow a copy from now on, and bring it to the links of today.

        Args:
            copy: a copy of the model.

        Raises:
            UserError: it has no such layers.
        """
        modules = named_modules(plain_model(copy))
        for layer in self._layers:
            its = modules.get(layer.name)
            if its is None or form_of(its) != layer.form:
                raise UserError(
                    f"the averaged model has no layer '{layer.name}' of the model's: average a copy of that model"
                )
        self._copies.add(copy)
        self._move(copy)

    def follow(self) -> None:
        """Bring all copies to the links of today: averages of links that stay are kept, new links begin at zero."""
        for copy in list(self._copies):
            self._move(copy)

    def stop(self) -> None:
        """Follow no copy any more."""
        _KNOWN.discard(self)
        self._copies.clear()

    @torch.no_grad()
    def _move(self, copy: nn.Module) -> None:
        model = plain_model(copy)
        modules = named_modules(model)
        for layer in self._layers:
            _move(cast(LinearMap, modules[layer.name]), layer)
        arrange_sequentials(model)


def _move(linear: LinearMap, layer: SparseLayer) -> None:
    """Give the averaged linear map the links of `layer`, in its execution."""
    links, place = layer.links, linear.weight.device
    weight = linear.weight.detach().to(layer.weight.device)
    if isinstance(linear, CsrLinear):
        position, present = linear.compressed.links.find(links)
        values_K = torch.where(present, weight[position], 0) if weight.numel() else weight.new_zeros(len(links))
    else:
        values_K = links.take(layer.form.matrix(weight))
    if layer.execution == "csr":
        assert isinstance(linear, nn.Linear)
        execute_links(linear, links, values_K)
        return
    if isinstance(linear, CsrLinear):
        execute_dense(linear, weight.new_zeros(layer.shape))
    there = Links(links.positions_K.to(place), links.shape)
    layer.form.write(linear.weight.detach(), there, values_K.to(place))


_KNOWN: weakref.WeakSet[Averages] = weakref.WeakSet()


@cache
def _listen() -> None:
    """Have torch tell of averaged models; once, when the first model becomes sparse."""
    nn.modules.module.register_module_module_registration_hook(_registered)


def _registered(module: nn.Module, name: str, inner: nn.Module | None) -> None:
    from torch.optim.swa_utils import AveragedModel

    if not isinstance(module, AveragedModel) or name != "module" or inner is None:
        return
    model = _copied_in(AveragedModel.__init__.__code__)
    for averages in list(_KNOWN):
        if model is averages.model:
            averages.add(inner)


def _copied_in(code: CodeType) -> nn.Module | None:
    """The model that is copied in the call of `AveragedModel(model)` which is under way."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    model = frame.f_locals.get("model") if frame else None
    return plain_model(model) if isinstance(model, nn.Module) else None
