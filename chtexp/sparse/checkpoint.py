"""Model, optimizer and sparsity of a training as one state, the same whatever the execution of its layers."""

from __future__ import annotations

import copy
from typing import TypedDict

from torch import Tensor

from chtexp.errors import UserError
from chtexp.sparse.engine import DynamicSparsity, SparsityState
from chtexp.sparse.optimizer_state import state_without
from chtexp.sparse.portable import dense_weights
from chtexp.sparse.wiring import plain_name, plain_state


class ModelState(TypedDict):
    """The state of a model in training.

    Attributes:
        model: its state dict without the sparse weights.
        optimizer: the optimizer's state dict without what it holds for the sparse weights.
        sparsity: the sparse layers.
    """

    model: dict[str, Tensor]
    optimizer: dict[str, object]
    sparsity: SparsityState


def training_state(sparsity: DynamicSparsity, *, copied: bool = True) -> ModelState:
    """Collect what a checkpoint needs of model, optimizer and sparsity.

    Args:
        sparsity: of the model in training.
        copied: whether nothing of the state changes as the training goes on; False shares memory with it, for a state that is
            written at once.

    Returns:
        The state, in which the weight of every link and its optimizer buffers occur once, under `sparsity`.

    Raises:
        UserError: the optimizer's state does not mirror the weights, or somebody has given weights to absent links.
    """
    weights = {f"{layer.name}.weight": layer.weight for layer in sparsity.layers}
    state: ModelState = {
        "model": {name: value for name, value in plain_state(sparsity.model).items() if name not in weights},
        "optimizer": state_without(sparsity.optimizer, list(weights.values())),
        "sparsity": sparsity.state_dict(),
    }
    return copy.deepcopy(state) if copied else state


def plain_weights(state: ModelState) -> dict[str, Tensor]:
    """Make the state dict of a plain model, in which absent links are zeros in ordinary matrices.

    Args:
        state: what `training_state` returned.

    Returns:
        Tensors by name.
    """
    layers = state["sparsity"]["layers"].items()
    return dense_weights({"dense": state["model"], "sparse": {f"{name}.weight": layer for name, layer in layers}})


def load_training_state(sparsity: DynamicSparsity, state: ModelState) -> None:
    """Continue from a state that `training_state` returned.

    Args:
        sparsity: of the model to be trained.
        state: the state.

    Raises:
        UserError: it is the state of another training; nothing has been changed.
    """
    if not ModelState.__annotations__.keys() <= state.keys():
        raise UserError(f"a training's state has {', '.join(ModelState.__annotations__)}, as training_state returns it")
    sparsity.check_state(state["sparsity"])
    own = plain_state(sparsity.model)
    reshaped = [name for name, value in state["model"].items() if name in own and value.shape != own[name].shape]
    if reshaped:
        raise UserError(f"the saved model is another one: it has other shapes of {', '.join(sorted(reshaped))}")
    sparse = {f"{layer.name}.weight" for layer in sparsity.layers}
    strangers = (set(own) - sparse) ^ set(state["model"])
    if strangers:
        raise UserError(f"the saved model is another one: it and this one differ in {', '.join(sorted(strangers))}")
    saved, here = (_layout(groups) for groups in (state["optimizer"]["param_groups"], sparsity.optimizer.param_groups))
    if len(saved) != len(here) or any(
        count != mine or not {*keys} <= {*known} for (known, count), (keys, mine) in zip(saved, here, strict=True)
    ):  # a scheduler that is made later adds settings of its own
        raise UserError(
            f"the saved optimizer is another one: it has groups {saved}, this one {here} (settings, parameters)"
        )
    called = {plain_name(name): name for name in sparsity.model.state_dict()}
    sparsity.model.load_state_dict({called[name]: value for name, value in state["model"].items()}, strict=False)
    moments = copy.deepcopy(state["optimizer"])  # or the state would change with the training
    sparsity.optimizer.load_state_dict(moments)
    sparsity.load_state_dict(state["sparsity"])


def _layout(groups: object) -> list[tuple[list[str], int]]:
    """Of each of an optimizer's `param_groups`: the names of its settings, and how many parameters it has."""
    assert isinstance(groups, list)
    return [(sorted(key for key in group if key != "params"), len(group["params"])) for group in groups]
