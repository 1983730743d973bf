"""Model, optimizer and sparsity of a training as one state, the same whatever the execution of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chtexp.errors import UserError
from chtexp.sparse.engine import DynamicSparsity
from chtexp.sparse.optimizer_state import state_without


def training_state(sparsity: DynamicSparsity) -> dict[str, Any]:
    """All that a checkpoint needs of the three; each link's weight and buffers are in it once, under `sparsity`."""
    weights = {f"{layer.name}.weight": layer.weight for layer in sparsity.layers}
    return {
        "model": {name: value for name, value in sparsity.model.state_dict().items() if name not in weights},
        "optimizer": state_without(sparsity.optimizer, list(weights.values())),
        "sparsity": sparsity.state_dict(),
    }


def load_training_state(sparsity: DynamicSparsity, state: dict[str, Any]) -> None:
    """Continue from `training_state`. Raises UserError, and changes nothing, when it is another training's."""
    sparsity.check_state(state["sparsity"])
    own = sparsity.model.state_dict()
    reshaped = [name for name, value in state["model"].items() if name in own and value.shape != own[name].shape]
    if reshaped:
        raise UserError(f"the saved model is another one: it has other shapes of {', '.join(sorted(reshaped))}")
    sparse = {f"{layer.name}.weight" for layer in sparsity.layers}
    strangers = (set(own) - sparse) ^ set(state["model"])
    if strangers:
        raise UserError(f"the saved model is another one: it and this one differ in {', '.join(sorted(strangers))}")
    saved, here = (_layout(groups) for groups in (state["optimizer"]["param_groups"], sparsity.optimizer.param_groups))
    if saved != here:
        raise UserError(
            f"the saved optimizer is another one: it has groups {saved}, this one {here} (settings, parameters)"
        )
    sparsity.model.load_state_dict(state["model"], strict=False)
    sparsity.optimizer.load_state_dict(state["optimizer"])
    sparsity.load_state_dict(state["sparsity"])


def _layout(groups: Sequence[Mapping[str, Any]]) -> list[tuple[list[str], int]]:
    """Of each group: the names of its settings, and how many parameters it has."""
    return [(sorted(key for key in group if key != "params"), len(group["params"])) for group in groups]
