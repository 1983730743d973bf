"""What a run takes of a GPU: sums by hand, and forward passes on shapes alone, which no look at a value survives."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from chtexp.compose import compose_run
from chtexp.experiments.cost import cost
from chtexp.experiments.gpu import GPUS, UTILISATION, Gpu, _kept_for_backward, gpu_cost


@pytest.mark.parametrize(
    "described",
    [
        ["data=cifar10", "method=chts_n"],
        ["data=multi30k", "method=transformer/chtss"],
        ["data=openwebtext", "model=llama_60m", "method=llama/chtss"],
        ["data=openwebtext", "model=llama_1b", "method=llama/fc", "method.sparsity=0"],
    ],
    ids=str,
)
def test_no_forward_pass_reads_a_value_back_from_the_device(described: list[str]) -> None:
    """On `meta` there is none: a forward pass that waits for the device in every step would fail."""
    taken = gpu_cost(compose_run(described), GPUS["A100"])
    assert taken.hours > 0
    assert taken.activations_gigabytes > 0


def test_llama_60m_by_hand() -> None:
    run = compose_run(["data=openwebtext", "model=llama_60m", "method=llama/chtss", "hardware.precision=pure_bf16"])
    taken = gpu_cost(run, Gpu(half=1e15, float32=1.0, gigabytes=80.0))
    pairs, parameters = 8 * (4 * 512**2 + 3 * 512 * 1376), 58_073_600
    assert taken.weights_gigabytes == pytest.approx((parameters * 2 * 4 + pairs * 3.125) / 1e9)
    assert taken.hours == pytest.approx(6 * 10_000 * 512 * 256 * (pairs + 512 * 32_000) / (UTILISATION * 1e15) / 3600)
    full = gpu_cost(
        run.model_copy(update={"hardware": run.hardware.model_copy(update={"precision": "float32"})}), GPUS["A100"]
    )
    assert full.weights_gigabytes == pytest.approx((parameters * 4 * 4 + pairs * 5.125) / 1e9)
    assert full.activations_gigabytes == pytest.approx(2 * taken.activations_gigabytes)
    assert cost(run).dense_flops == pytest.approx(taken.hours * 3600 * UTILISATION * 1e15)


@pytest.mark.parametrize("processes", [2, 8])
def test_a_gpu_holds_what_its_own_process_takes_at_once(processes: int) -> None:
    """512 sequences a step, 32 at once: as many at once in each of 8 processes; hours are of all GPUs together."""
    described = ["data=openwebtext", "model=llama_60m", "method=llama/chtss"]
    alone = gpu_cost(compose_run(described), GPUS["A100"])
    together = gpu_cost(compose_run([*described, "hardware=ddp", f"hardware.processes={processes}"]), GPUS["A100"])
    assert together == alone
    few = gpu_cost(
        compose_run([*described, "hardware=ddp", f"hardware.processes={processes}", "task.batch=32"]), GPUS["A100"]
    )
    assert few.activations_gigabytes == pytest.approx(alone.activations_gigabytes / processes, rel=0.02)


def test_what_autograd_keeps_is_counted_once() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
        inputs = torch.zeros(7, 10)
        # inputs for the first weight's gradient, the ReLU's output for its own and for the second weight's
        assert _kept_for_backward(model, lambda: model(inputs).sum()) == 4 * (7 * 10 + 7 * 20)
