"""Plug-ins as a person writes them, for the tests of several folders; after a test nothing of them is left in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chtexp.config import plugins
from chtexp.config.plugged import PLUGGED
from chtexp.config.plugin_import import FINDER

RULES = """
import torch
from chtexp.plugins import density, regrowth, removal, topology

@regrowth("busy")
def busy(mask_OI, gradient_OI, *, power: float = 1.0):
    return (mask_OI.sum(1, keepdim=True) + mask_OI.sum(0, keepdim=True)) ** power + gradient_OI.abs()

@removal("shaken")
def shaken(weight_K, generator):
    return weight_K.abs() * torch.rand(weight_K.shape, generator=generator)

@topology("first")
def first(out_features, in_features, links):
    return (torch.arange(out_features * in_features) < links).view(out_features, in_features)

@density("stairs")
def stairs(step, initial, final, total, *, at: float = 0.5):
    return initial if step < at * total else final
"""
METHOD = """
defaults: [{topology: er}, {removal: wm}, {regrowth: random}, {density: fixed}, _self_]
name: Busy
sparsity: 0.8
zeta: 0.3
regrowth: {rule: busy, power: 2.0}
removal: {rule: shaken}
"""
GRID = """
title: own rules
seeds: [0]
reference: FC
columns: {digits: [data=digits, "model.hidden=[40,40,40]", budget.train_limit=160]}
groups:
  dense: {FC: [method=fc, method.sparsity=0]}
  sparse: {Busy: [method=busy]}
"""


def write(folder: Path, rules: str = RULES) -> Path:
    """Write a plug-in, its method and a grid below a folder; return the plug-in's file."""
    for name, text in {"own_rules.py": rules, "conf/method/busy.yaml": METHOD, "conf/paper/own.yaml": GRID}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "own_rules.py"


@contextmanager
def nothing_left() -> Iterator[None]:
    """As in a new process: no plug-in is known at the beginning, nor at the end."""
    path = list(sys.path)
    _forget()
    try:
        yield
    finally:
        _forget()
        sys.path[:] = path


def _forget() -> None:
    for name in {
        *plugins._imported,
        *FINDER.files,
        *(name for name in sys.modules if name.startswith(("own_", "beside_"))),
    }:
        sys.modules.pop(name, None)
    FINDER.files.clear()
    FINDER.folders.clear()
    PLUGGED.found.clear()
    PLUGGED._installed = None
    plugins._imported.clear()
    plugins._named.clear()
    PLUGGED.missed.clear()
