"""`bench update`: milliseconds of one topology update, by method and stage, and its share of an epoch."""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import AfterValidator, Field

from chtexp.bench.inputs import Inputs, inputs_of
from chtexp.bench.measure import Spread, ratio
from chtexp.bench.networks import Network, OptimizerName, check_network, load_network
from chtexp.bench.outcome import Column, Findings, Row, median
from chtexp.bench.progress import say
from chtexp.bench.settings import DataPath, Density, Names, PositiveInt, Settings, Widths
from chtexp.bench.stages import STAGES, TimedSparsity
from chtexp.bench.trainer import Trainer, sparse_trainer
from chtexp.config.method import Method, load_method, method_names
from chtexp.errors import UserError, unknown
from chtexp.sparse import Choice

MILLISECONDS = 1000
WARM_UP_UPDATES = 1
SETTLING = 4  # one step in so many, the first after an update, is not timed: it meets what the update left behind
LEAST_UPDATES = 100  # of the whole training, of which the measured updates are the first

COLUMNS = (
    Column("method", "method"),
    Column("executed", "execution"),
    Column("density", "density"),
    *(Column(stage, f"{stage}_ms", median) for stage in STAGES),
    Column("total ms", "ms"),
    Column("first / x", "ratio"),
    Column("ms a step", "step_ms"),
    Column("% of an epoch's steps", "epoch_percent"),
)


def _updating(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in method_names():
            raise unknown("method", name, method_names())
        method = load_method(name)
        if method.removal is None and method.density.kind == "fixed":
            raise UserError(f"method '{name}' never updates its topology")
    return names


class UpdateSettings(Settings):
    """What `bench update` measures.

    Attributes:
        methods: each measured in turn.
        network: the one for this data set's images.
        hidden: widths of the hidden layers; None: the paper's.
        density: at the end of training, in (0, 1].
        batch: images of one step.
        optimizer: of all weights.
        execution: of the sparse layers.
        steps: of training between two updates.
        rounds: updates of each method.
        paths: of the data; random inputs without them.
    """

    methods: Annotated[Names, AfterValidator(_updating)] = ("chts_n", "chts_p", "cht", "set", "rigl")
    network: Annotated[str, AfterValidator(check_network)] = "mnist"
    hidden: Widths = None
    density: Density = 0.01
    batch: PositiveInt = 32
    optimizer: OptimizerName = "sgd"
    execution: Choice = "auto"
    steps: Annotated[int, Field(ge=4)] = 60
    rounds: Annotated[int, Field(ge=3)] = 7
    paths: DataPath = Field(default_factory=DataPath)


class _Measured:
    """One method in training, and the seconds of its updates, their stages and its steps, by round."""

    def __init__(self, name: str, network: Network, inputs: Inputs, settings: UpdateSettings) -> None:
        self.name = name
        method = load_method(name, sparsity=1 - settings.density, early_stop=None)
        self.trainer = _trainer(method, network, inputs, settings)
        assert isinstance(self.trainer.sparsity, TimedSparsity)
        self.sparsity = self.trainer.sparsity
        self.stages: dict[str, list[float]] = {stage: [] for stage in STAGES}
        self.updates: list[float] = []
        self.steps: list[float] = []

    def train_and_update(self, steps: int) -> None:
        """Make one round: train, then update the topology.

        The last step is no step like others: it may keep the gradient of all pairs.

        Args:
            steps: of the training.
        """
        for _ in range(steps // SETTLING):
            self.trainer.step()
        timed = steps - steps // SETTLING - 1
        start = time.perf_counter()
        for _ in range(timed):
            self.trainer.step()
        self.steps.append((time.perf_counter() - start) / timed)
        self.trainer.step()
        start = time.perf_counter()
        record = self.sparsity.update_topology()
        self.updates.append(time.perf_counter() - start)
        assert record is not None
        for stage, seconds in self.sparsity.stages.items():
            self.stages[stage].append(seconds)

    def forget(self) -> None:
        """Let what was measured so far count as warm-up."""
        for measured in (self.updates, self.steps, *self.stages.values()):
            measured.clear()


def measure_update(settings: UpdateSettings) -> Findings:
    """Measure rounds of some training and one update; the methods take turns."""
    network = load_network(settings.network, settings.hidden)
    inputs = inputs_of(network, settings.batch, settings.seed, settings.paths.data)
    methods = [_Measured(name, network, inputs, settings) for name in settings.methods]
    for round_ in range(WARM_UP_UPDATES + settings.rounds):
        say(f"{network.name} {network.widths}: round {round_ + 1} of {WARM_UP_UPDATES + settings.rounds}")
        for method in methods:
            method.train_and_update(settings.steps)
            if round_ < WARM_UP_UPDATES:
                method.forget()
    epoch = network.steps_of_an_epoch(settings.batch)
    return Findings([_row(method, methods[0], epoch) for method in methods], COLUMNS, _notes(network, inputs, epoch))


def _trainer(method: Method, network: Network, inputs: Inputs, settings: UpdateSettings) -> Trainer:
    updates = max(LEAST_UPDATES, 2 * (WARM_UP_UPDATES + settings.rounds))  # an annealed method is far from its end
    return sparse_trainer(
        network,
        method,
        settings.execution,
        settings.optimizer,
        inputs.batches,
        settings.seed,
        engine=TimedSparsity,
        total_steps=updates * settings.steps,
        update_interval=settings.steps,
        features=inputs.features if method.correlates_features else None,
    )


def _row(method: _Measured, first: _Measured, epoch: int) -> Row:
    shares = [100 * update / (epoch * step) for update, step in zip(method.updates, method.steps, strict=True)]
    return {
        "method": method.name,
        "execution": "+".join(sorted(set(method.sparsity.executed.values()))),
        "density": method.sparsity.density,
        **{f"{stage}_ms": Spread.of(seconds, MILLISECONDS) for stage, seconds in method.stages.items()},
        "ms": Spread.of(method.updates, MILLISECONDS),
        "ratio": ratio(method.updates, first.updates),
        "step_ms": Spread.of(method.steps, MILLISECONDS),
        "epoch_percent": Spread.of(shares),
    }


def _notes(network: Network, inputs: Inputs, epoch: int) -> list[str]:
    return [
        f"{network.name}, {network.widths}. Inputs, and the features that csti correlates: {inputs.source}. Early stops off.",
        "Milliseconds, medians over updates (total and step with quartiles). score, select: link prediction and draw of "
        "regrowth.",
        f"first / x: how many times faster than the first method, within rounds. An epoch has {epoch} steps.",
    ]
