"""`bench checkpoint`: what checkpoints cost a training that goes on beside them, and one that waits for them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

from pydantic import Field

from chtexp.bench.inputs import random_batches
from chtexp.bench.measure import Candidate, Spread, interleave
from chtexp.bench.networks import Network, NetworkSettings, load_network
from chtexp.bench.outcome import Column, Findings, Row, megabytes
from chtexp.bench.progress import say
from chtexp.bench.settings import Densities, Names
from chtexp.bench.trainer import Trainer, sparse_trainer
from chtexp.config.method import load_method
from chtexp.errors import UserError
from chtexp.sparse import training_state
from chtexp.train.checkpoint import Checkpoints, random_state

MILLISECONDS = 1000
WARM_UP_STEPS = 5
COLUMNS = (
    Column("network", "network"),
    Column("density", "density"),
    Column("checkpoints", "candidate"),
    Column("ms a step", "step_ms"),
    Column("none / x", "ratio"),
    Column("lost s a checkpoint", "lost_seconds"),
    Column("held up s", "held_up_seconds"),
    Column("MB", "bytes", megabytes),
)


class CheckpointSettings(NetworkSettings):
    """What `bench checkpoint` measures; the dense network is always measured, too.

    Attributes:
        networks, density: as in `NetworkSettings`.
        every: seconds of training between two checkpoints.
        rounds: checkpoints of each kind.
        folder: where they are written and removed again; what its disk and file system take counts.
    """

    networks: Names = ("mnist",)
    density: Densities = (0.01,)
    every: Annotated[float, Field(gt=0)] = 3.0
    rounds: Annotated[int, Field(ge=3)] = 5
    folder: Path = Field(default=Path(), exclude=True)


class _Turn:
    """One checkpoint, and the steps to the next.

    Args:
        trainer: the training.
        steps: between two checkpoints.
        folder: of the checkpoints.
        waits: whether the training waits for the checkpoint; None: there is none.
    """

    def __init__(self, trainer: Trainer, steps: int, folder: Path, waits: bool | None) -> None:
        self._trainer, self._steps, self._waits = trainer, steps, waits
        self._failed: list[str] = []
        self._checkpoints = Checkpoints(folder, self._failed.append)
        self._folder, self._saved = folder, 0
        self.held_up: list[float] = []

    def __call__(self) -> None:
        if self._waits is not None:
            self._save(self._waits)
        for _ in range(self._steps):
            self._trainer.step()
        self._checkpoints.finish()
        if self._failed:
            raise UserError(f"{self._failed[0]}; set folder= to a place with more room")

    def _save(self, wait: bool) -> None:
        start = time.perf_counter()
        sparsity = self._trainer.sparsity
        assert sparsity is not None
        self._saved += 1
        self._checkpoints.save(
            {**training_state(sparsity, copied=False), "random": random_state()}, self._saved, wait=wait
        )
        self.held_up.append(time.perf_counter() - start)

    @property
    def bytes(self) -> int | None:
        """The size of the last checkpoint in bytes; None where there is none."""
        files = sorted(self._folder.glob("*.pt"))
        return files[-1].stat().st_size if files else None


def measure_checkpoint(settings: CheckpointSettings) -> Findings:
    """Measure every network, dense and at each density.

    Turns without a checkpoint, with one written beside the training and with one that is waited for follow each other.

    Args:
        settings: what is measured.

    Returns:
        The measurements.

    Raises:
        UserError: the folder cannot be made, or a checkpoint cannot be written there.
    """
    rows = []
    for name in settings.networks:
        network = load_network(name, settings.hidden)
        for density in (None, *settings.density):
            say(f"{network.name} {network.widths}, " + ("dense" if density is None else f"density {density:g}"))
            rows += _compare(network, density, settings)
    return Findings(rows, COLUMNS, _notes(settings))


def _compare(network: Network, density: float | None, settings: CheckpointSettings) -> list[Row]:
    batches = random_batches(network, settings.batch, settings.seed)
    method = load_method("fc") if density is None else load_method("static", sparsity=1 - density)
    trainer = sparse_trainer(network, method, "auto", settings.optimizer, batches, settings.seed)
    steps = max(1, round(settings.every / _seconds_a_step(trainer)))
    with tempfile.TemporaryDirectory(dir=_made(settings.folder), prefix=".bench-") as folder:
        turns = {
            name: _Turn(trainer, steps, Path(folder) / name, waits)
            for name, waits in {"none": None, "beside": False, "waited for": True}.items()
        }
        measured = interleave(
            [Candidate(name, turn) for name, turn in turns.items()],
            rounds=settings.rounds,
            seconds=settings.rounds * settings.every,
        )
        return [
            {
                "network": network.name,
                "widths": network.widths,
                "density": density,
                "candidate": name,
                "steps": steps,
                "step_ms": measured.spread(name, MILLISECONDS / steps),
                "ratio": measured.ratio(name, baseline="none"),
                "lost_seconds": measured.excess(name, over="none") if turn.held_up else None,
                "held_up_seconds": Spread.of(turn.held_up[-len(measured.seconds[name]) :]) if turn.held_up else None,
                "bytes": turn.bytes,
            }
            for name, turn in turns.items()
        ]


def _seconds_a_step(trainer: Trainer) -> float:
    for _ in range(WARM_UP_STEPS):
        trainer.step()
    start = time.perf_counter()
    for _ in range(WARM_UP_STEPS):
        trainer.step()
    return (time.perf_counter() - start) / WARM_UP_STEPS


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"folder {folder} cannot be made ({error.strerror}); name one that can") from None
    return folder


def _notes(settings: CheckpointSettings) -> list[str]:
    return [
        f"Training with a checkpoint every {settings.every:g} s: none; beside: a copy is written while the training goes on; "
        "waited for: the training stands still meanwhile. Random masks that never change, random inputs.",
        "none / x: share of the speed that is left. lost: what a turn with a checkpoint takes longer, all in all; held up: of "
        "this, until the training goes on. A checkpoint is written, synced, read back and renamed.",
    ]
