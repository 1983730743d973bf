"""What a run takes of a GPU: sums by hand, and forward passes on shapes alone, which no look at a value survives."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from chtexp.build import builder_of
from chtexp.config.compose import compose_run
from chtexp.cost.activations import bytes_kept
from chtexp.cost.count import cost
from chtexp.cost.gpu import GPUS, UTILISATION, Gpu, gpu_cost


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
    """Fake tensors have none: a forward pass that waits for the device in every step would fail."""
    taken = gpu_cost(compose_run(described), GPUS["A100"])
    assert taken.hours > 0
    assert taken.activations_gigabytes > 0


def test_llama_60m_by_hand() -> None:
    run = compose_run(["data=openwebtext", "model=llama_60m", "method=llama/chtss", "hardware.precision=pure_bf16"])
    taken = gpu_cost(run, Gpu(half=1e15, float32=1.0, gigabytes=80.0))
    pairs, parameters = 8 * (4 * 512**2 + 3 * 512 * 1376), 58_073_600 + 2 * 100 * 512
    assert taken.weights_gigabytes == pytest.approx((parameters * 2 * 4 + pairs * 1.125) / 1e9)
    assert taken.hours == pytest.approx(6 * 10_000 * 512 * 256 * (pairs + 512 * 32_100) / (UTILISATION * 1e15) / 3600)
    full = gpu_cost(
        run.model_copy(update={"hardware": run.hardware.model_copy(update={"precision": "float32"})}), GPUS["A100"]
    )
    assert full.weights_gigabytes == pytest.approx((parameters * 4 * 4 + pairs * 1.125) / 1e9)
    assert 1.2 * taken.activations_gigabytes < full.activations_gigabytes < 2 * taken.activations_gigabytes
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


def test_the_bytes_that_a_small_network_keeps_by_hand() -> None:
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    # the ReLU's output for its own gradient and for that of the second weight, what it sums up, the sum
    inputs = torch.zeros(7, 10)
    assert bytes_kept(model, lambda: model(inputs).sum()) == 4 * (7 * 20 + 1)
    # in half precision also a copy of the inputs and of the second weight
    assert bytes_kept(model, lambda: model(inputs).sum(), "bf16") == 2 * (7 * 10 + 7 * 20 + 20 * 5 + 1)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_fake_tensors_tell_what_autograd_really_saves(precision: str) -> None:
    """A real forward pass of a small LLaMA, its saved tensors counted by torch's own hooks."""
    run = compose_run(["data=webmix", "model=llama_nano", "task.at_once=4", f"hardware.precision={precision}"])
    taken = gpu_cost(run, GPUS["A100"]).activations_gigabytes
    model = builder_of(run).model().model
    loss = builder_of(run).example_loss(model, 1)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage())
        return tensor

    half = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), half:
        held = loss()
    really = sum(memory.nbytes() for where, memory in saved.items() if where not in own)
    assert held.isfinite()
    assert taken == pytest.approx(really / 1e9, rel=0.05)


def test_what_is_computed_again_is_not_kept() -> None:
    described = ["data=openwebtext", "model=llama_60m", "method=llama/chtss"]
    kept, again = (
        gpu_cost(compose_run([*described, f"hardware.recompute={value}"]), GPUS["A100"]).activations_gigabytes
        for value in ("false", "true")
    )
    layers_input = 8 * 32 * 256 * 512 * 4 / 1e9  # of all that a layer keeps
    logits = 32 * 256 * 32_000 * 4 / 1e9
    assert layers_input + logits < again < kept / 2
