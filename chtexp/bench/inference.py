"""How fast networks are that only compute: milliseconds an image, all networks in turn on the same images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from chtexp.bench.machine import machine, machine_in_words, torch_threads
from chtexp.bench.measure import Candidate, interleave
from chtexp.bench.progress import say
from chtexp.system.others import OtherWork
from chtexp.trained.export_summary import Speed, Timing

ROUNDS = 20


def measure_inference(
    networks: Mapping[str, Callable[[Tensor], Tensor]],
    batches: Sequence[Tensor],
    baseline: str,
    *,
    threads: int = 1,
    seconds: float = 2.0,
) -> Speed:
    """Time networks.

    Args:
        networks: by name.
        batches: images [B, C, H, W], of each size that is of interest.
        baseline: the name of the network that the others are compared with.
        threads: of torch and of our kernels. Others, e.g. onnxruntime's, are set where a network is made.
        seconds: about so long is each network timed on each batch.

    Returns:
        Milliseconds an image, and how many times faster than the baseline.
    """
    timings: list[Timing] = []
    others = OtherWork()
    with torch_threads(threads), torch.inference_mode():
        here = machine()
        for images in batches:
            say(f"timing {len(networks)} networks, {len(images)} images at once")
            candidates = [_candidate(name, network, images) for name, network in networks.items()]
            measured = interleave(candidates, rounds=ROUNDS, seconds=seconds)
            for name in networks:
                spread = measured.spread(name, 1000 / len(images))
                timings.append(
                    {
                        "execution": name,
                        "batch": len(images),
                        "milliseconds": spread.median,
                        "low": spread.low,
                        "high": spread.high,
                        "faster": measured.ratio(name, baseline=baseline).median,
                    }
                )
    return {
        "machine": machine_in_words(here),
        "threads": threads,
        "busy_with_others": others.share(),
        "timings": timings,
    }


def _candidate(name: str, network: Callable[[Tensor], Tensor], images: Tensor) -> Candidate:
    return Candidate(name, lambda: network(images))
