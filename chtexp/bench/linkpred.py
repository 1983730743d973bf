"""`bench linkpred`: seconds of one link prediction, node based against path based (Figure 2 of arXiv:2501.19107)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import torch
from pydantic import AfterValidator

from chtexp.bench.machine import devices
from chtexp.bench.measure import Candidate, interleave
from chtexp.bench.outcome import Column, Findings, Row, check_output, plain
from chtexp.bench.progress import say
from chtexp.bench.settings import Densities, Density, PositiveInt, Sizes, TimedSettings
from chtexp.randomness import generator
from chtexp.report.figures import FIGURE_SUFFIXES, runtime, write
from chtexp.topology import ch_scores, init_mask

RULES = {"node based": "ch2_l3n", "path based": "ch3_l3p"}
MILLISECONDS = 1000

COLUMNS = (
    Column("panel", "panel"),
    Column("size", "size"),
    Column("density", "density"),
    Column("device", "device"),
    Column("scores", "candidate"),
    Column("rule", "rule"),
    Column("ms", "ms"),
    Column("node / x", "ratio"),
)
NOTES = (
    "One call of ch_scores on a random mask. Panel a: density grows; b: size grows. Median and quartiles over rounds.",
    "node / x: how many times faster than node based, within rounds.",
)


def _drawable(path: Path | None) -> Path | None:
    return None if path is None else check_output(path, FIGURE_SUFFIXES)


class LinkPredictionSettings(TimedSettings):
    """What `bench linkpred` measures.

    Attributes:
        density: of panel a, whose masks are squares of `fixed_size`.
        fixed_size: neurons on each side, of panel a.
        size: neurons on each side, of panel b.
        fixed_density: of panel b.
        figure: a file to draw both panels in; None: no figure.
    """

    density: Densities = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
    fixed_size: PositiveInt = 1024
    size: Sizes = (256, 512, 1024, 2048)
    fixed_density: Density = 0.05
    figure: Annotated[Path | None, AfterValidator(_drawable)] = None


def measure_link_prediction(settings: LinkPredictionSettings) -> Findings:
    """Measure both rules in turn, on every mask and device."""
    masks = [("a", settings.fixed_size, density) for density in settings.density]
    masks += [("b", size, settings.fixed_density) for size in settings.size]
    rows = []
    for panel, size, density in masks:
        for device in devices():
            say(f"panel {panel}: {size} x {size}, density {density:g}, {device.type}")
            rows += _compare(panel, size, density, device, settings)
    if settings.figure:
        write(runtime([plain(row) for row in rows]), settings.figure)
    return Findings(rows, COLUMNS, [*NOTES, *([f"Figure: {settings.figure}"] if settings.figure else [])])


def _compare(
    panel: str, size: int, density: float, device: torch.device, settings: LinkPredictionSettings
) -> list[Row]:
    mask_OI = init_mask("er", size, size, density, generator=generator(settings.seed, "bench", "mask", size)).to(device)
    finish = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    measured = interleave(
        [Candidate(kind, partial(ch_scores, mask_OI, rule), finish) for kind, rule in RULES.items()],
        rounds=settings.rounds,
        seconds=settings.seconds,
    )
    return [
        {
            "panel": panel,
            "size": size,
            "density": density,
            "links": int(mask_OI.sum()),
            "device": device.type,
            "candidate": kind,
            "rule": rule,
            "ms": measured.spread(kind, MILLISECONDS),
            "ratio": measured.ratio(kind, baseline="node based"),
        }
        for kind, rule in RULES.items()
    ]
