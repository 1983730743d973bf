"""What a checkpoint holds, key by key: plain values and tensors."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from torch import Tensor

from chtexp.sparse.checkpoint import ModelState
from chtexp.sparse.portable import PortableWeights


class RandomState(TypedDict):
    """The state of torch's global generators; `cuda` where there is a GPU."""

    cpu: Tensor
    cuda: NotRequired[Tensor]


class PrecisionState(TypedDict):
    """The state of the gradient scaler, where there is one."""

    scaler: NotRequired[dict[str, object]]


class LossState(TypedDict):
    """The loss since the last evaluation: the sum of its means, a scalar, and the number of steps."""

    sum: Tensor
    summed: int


class TrainingState(ModelState, PrecisionState):
    """All that the rest of a training depends on.

    Attributes:
        step: optimizer steps so far.
        seconds: of training so far, over all starts.
        beside: the fields of `Beside`; earlier code did not save it.
        judged: the fields of `Judged`.
        loss: of the steps since the last evaluation.
        random: of every process, by rank.
    """

    step: int
    seconds: float
    beside: NotRequired[dict[str, object]]
    judged: dict[str, object]
    loss: LossState
    random: list[RandomState]


class Saved(TypedDict):
    """A checkpoint of a run.

    Attributes:
        run: its identity and seed; earlier code did not save them.
        training: its training.
        metrics_size: the size of metrics.jsonl at that moment, in bytes.
        metrics_checksum: its checksum; earlier code did not save it.
    """

    run: NotRequired[list[str | int]]
    training: TrainingState
    metrics_size: int
    metrics_checksum: NotRequired[str]


class Loaded(Saved):
    """A checkpoint that was read, with the name of its file."""

    name: str


class SelectedWeights(PortableWeights):
    """The content of selected.pt: the weights of the selected model, and the step at which it was selected."""

    step: int
