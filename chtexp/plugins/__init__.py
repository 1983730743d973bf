"""What a module of your own registers, so that every command knows it by name; see docs/your-own-method.md.

    from chtexp.plugins import regrowth

    @regrowth("preferential")
    def preferential(mask_OI, *, power: float = 1.0):
        return ((1 + mask_OI.sum(1, keepdim=True)) * (1 + mask_OI.sum(0, keepdim=True))) ** power

A function reads what its arguments are called. What stands behind `*` are its parameters, which a configuration sets.

Shapes: O outputs, I inputs, K links, in row-major order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from chtexp.config.plugged import PLUGGED

__all__ = ["data", "density", "model", "regrowth", "removal", "task", "topology"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=type)


def topology(name: str) -> Callable[[F], F]:
    """Register a rule that lays out the first links of a layer.

    It may read `out_features`, `in_features`, `links` (how many), `generator` (of torch, on the CPU), `correlation` [I, I] (of
    the training inputs) and `previous_output_degrees` [I] (of the layer before). It returns a bool tensor [O, I] with exactly
    `links` True.

    Args:
        name: by which methods choose it: `topology: {rule: NAME}`.
    """
    return _registering("topology", name)


def removal(name: str) -> Callable[[F], F]:
    """Register a rule that scores links: those of low score are removed, or pruned.

    It may read `weight_K` and `gradient_K` (of the links), `weight_OI`, `gradient_OI` and `mask_OI` (of all pairs), `links` (with
    `rows_K`, `columns_K`, `shape`) and `generator`. It returns scores from 0 on, [K] or [O, I].

    Args:
        name: by which methods choose it: `removal: {rule: NAME}`.
    """
    return _registering("removal", name)


def regrowth(name: str) -> Callable[[F], F]:
    """Register a rule that scores absent links: those of high score are grown.

    It may read `mask_OI`, `weight_OI`, `gradient_OI` (the loss's gradient with respect to all pairs, before it is clipped),
    `links` and `generator`. It returns scores from 0 on, [O, I]; those of present links are not read.

    Args:
        name: by which methods choose it: `regrowth: {rule: NAME}`.
    """
    return _registering("regrowth", name)


def density(name: str) -> Callable[[F], F]:
    """Register a schedule of the density.

    It may read `step` (completed optimizer steps), `initial` (a method then needs `density.initial_sparsity`), `final`, `total`
    and `interval` (optimizer steps of the training, and between updates). It returns the density in (0, 1], which falls to
    `final`.

    Args:
        name: by which methods choose it: `density: {kind: NAME}`.
    """
    return _registering("density", name)


def model(name: str) -> Callable[[F], F]:
    """Register a network that classifies images.

    It may read `shape` (channels, height, width) and `classes`. It returns an `nn.Module` from normalised images [B, C, H, W] to
    logits [B, classes]. All its linear maps and convolutions are sparse but the last one (and a first convolution), unless it has
    `sparse_layers`, a list of names; `chains` may say which of them feed each other.

    Args:
        name: by which configurations choose it: `name: NAME` in `model/NAME.yaml`.
    """
    return _registering("model", name)


def data(name: str) -> Callable[[F], F]:
    """Register a data set of images.

    It returns (images, labels) of train and test, or once (then a part is held out): uint8 [N, C, H, W] or [N, H, W], and whole
    numbers from 0 on; numpy arrays or tensors. They are measured once for each version of the source, and kept.

    Args:
        name: by which configurations choose it: `source: NAME` in `data/NAME.yaml`.
    """
    return _registering("data", name)


def task(name: str) -> Callable[[T], T]:
    """Register a task: a class that extends `ImageClassification`, `Translation` or `LanguageModelling` of `chtexp.tasks`.

    Its annotated attributes are parameters, which a configuration sets beside those of the task that it extends.

    Args:
        name: by which configurations choose it: `name: NAME` in `task/NAME.yaml`.
    """

    def register(of: T) -> T:
        PLUGGED.add("task", name, of)
        return of

    return register


def _registering(kind: str, name: str) -> Callable[[F], F]:
    PLUGGED.check_name(kind, name)

    def register(function: F) -> F:
        PLUGGED.add(kind, name, function)
        return function

    return register
