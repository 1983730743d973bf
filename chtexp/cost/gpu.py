"""What a run takes of a GPU, by a stated model: so many bytes, and so many hours.

Hours: the training FLOPs of all linear layers as dense matrices (a mask saves no time on a GPU; attention itself is not counted)
at UTILISATION of the card's peak. Bytes: weights, gradients, the optimizer's buffers, masks, and the activations that one part
of a step keeps for its backward pass (`activations`); what topology updates and the allocator take for a moment is
not. Several processes share a batch, and so the hours; each holds all weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from chtexp.config.run import Run
from chtexp.cost.count import cost, counts_of

UTILISATION = 0.4  # [choice] of the peak; large Transformers are reported to train at 0.3 to 0.5
BUFFERS = {"sgd": 1, "adam": 2}  # of the size of the weights


@dataclass(frozen=True)
class Gpu:
    """A GPU by its maker's data sheet.

    Attributes:
        half: peak FLOPs a second in dense half precision.
        float32: peak FLOPs a second in float32 as torch computes it, without TF32.
        gigabytes: memory, in 10^9 bytes.
    """

    half: float
    float32: float
    gigabytes: float


GPUS = {"A100": Gpu(312e12, 19.5e12, 80.0), "H100": Gpu(989e12, 67e12, 80.0)}


@dataclass(frozen=True)
class GpuCost:
    """What a run takes of GPUs.

    Attributes:
        hours: of all GPUs together.
        weights_gigabytes: of one GPU, for weights with all that belongs to them, in 10^9 bytes.
        activations_gigabytes: of one GPU, for activations, in 10^9 bytes.
    """

    hours: float
    weights_gigabytes: float
    activations_gigabytes: float

    @property
    def gigabytes(self) -> float:
        """Memory of one GPU, in 10^9 bytes."""
        return self.weights_gigabytes + self.activations_gigabytes


def gpu_cost(run: Run, gpu: Gpu) -> GpuCost:
    """Estimate what a run takes of GPUs of this kind."""
    from chtexp.cost.activations import activation_bytes  # loads torch

    hardware = run.hardware
    half = hardware.precision != "float32"
    number = 2 if hardware.precision == "pure_bf16" else 4
    counts = counts_of(run)
    parameters, pairs = counts.parameters, counts.sparse
    of_weights = parameters * number * (2 + BUFFERS[run.task.optimizer.name])
    of_masks = pairs * (1 + 1 / 8 + number * run.method.history_weights) if run.method.topology else 0
    return GpuCost(
        hours=cost(run).dense_flops / (UTILISATION * (gpu.half if half else gpu.float32)) / 3600,
        weights_gigabytes=(of_weights + of_masks) / 1e9,
        activations_gigabytes=activation_bytes(run) / 1e9,
    )
