"""A trained image classifier, put to use: it becomes a folder of a small network, which says how small and how fast it is.

Shapes: B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from chtexp.build import builder_of
from chtexp.config.images import ImageDataConfig
from chtexp.errors import Unavailable
from chtexp.sparse import compact
from chtexp.sparse.checkpoint import plain_weights
from chtexp.sparse.compact import NothingToCut
from chtexp.sparse.cpu.csr import CsrLinear
from chtexp.store import Damaged
from chtexp.store.files import whole_folder, write_json
from chtexp.store.seal import write_checksums
from chtexp.tasks import ImageClassification
from chtexp.train.checkpoint import Checkpoints, Unusable
from chtexp.trained.architecture import plain
from chtexp.trained.export_page import page_of
from chtexp.trained.export_summary import (
    COMPACT,
    COMPACT_ONNX,
    DENSE,
    DENSE_ONNX,
    LINKS,
    Speed,
    Summary,
    layers_of,
    sizes_of,
)
from chtexp.trained.exported import ONNX, README, SUMMARY, Inputs, by_links, load_exported, write_weights
from chtexp.trained.folder import check_new, last_checkpoint, result_of, run_of

BATCHES = (1, 256)  # images at once, whose speed is measured
SAME, SAME_IN_HALF_PRECISION = 1e-4, 2e-2  # of the largest logit: what rounding may change
AT_ONCE = 2000  # images of the test set

Network = Callable[[Tensor], Tensor]


class Measure(Protocol):
    """Times networks in turns; see `chtexp.bench.inference`."""

    def __call__(self, networks: Mapping[str, Network], batches: Sequence[Tensor], baseline: str) -> Speed:
        """Time each network on each batch."""


def _smallest(network: nn.Module) -> nn.Module:
    """The network without its inactive neurons; a copy of it where none can be cut out."""
    try:
        return compact(network).requires_grad_(False)
    except NothingToCut:
        return copy.deepcopy(network)


class Classifier:
    """The network that a run of image classification ended with, and its test images, on the CPU.

    Args:
        folder: of the run.
        data: root of the data sets; None: where the run had them.

    Raises:
        UserError: the folder holds no finished run of image classification, its weights are gone, or its data are missing.
    """

    def __init__(self, folder: Path, data: Path | None = None) -> None:
        self.run, self.result = run_of(folder), result_of(folder)
        builder, device = builder_of(self.run), torch.device("cpu")
        model = builder.model().model
        model.load_state_dict(_last_weights(folder, self.result.steps))
        self.network = plain(model.float().eval()).requires_grad_(False)
        task, _ = builder.task(data or self.run.paths.data, device)
        assert isinstance(task, ImageClassification)
        assert isinstance(self.run.data, ImageDataConfig)
        self.data, (self.images, self.labels) = self.run.data, task.test

    @property
    def inputs(self) -> Inputs:
        """What the network takes."""
        return {"shape": list(self.data.shape), "mean": list(self.data.mean), "std": list(self.data.std)}

    def export(self, folder: Path, measure: Measure, *, onnx: bool = True, threads: int = 1) -> Summary:
        """Write the network without its inactive neurons; see `chtexp.trained.exported`. Written is all of it, or nothing.

        Args:
            folder: new, or empty.
            measure: times networks.
            onnx: whether an ONNX file is written, too, and timed.
            threads: of onnxruntime, when it is timed.

        Returns:
            What is written as `summary.json`.

        Raises:
            UserError: the folder is not empty.
            Unavailable: what was written does not compute what the run's network does, or the run's accuracy.
        """
        check_new(folder)
        small = _smallest(self.network)
        with whole_folder(folder) as unfinished:
            write_weights(small, self.inputs, self.data.classes, unfinished)
            write_checksums(unfinished)  # of the weights, which are read back
            networks = self._executions(unfinished, small, onnx, threads)
            accuracies = self._checked(networks)
            batches = [self._batch(size) for size in BATCHES]
            summary = Summary(
                run=self.result.id,
                seed=self.result.seed,
                data=self.result.data,
                method=self.result.method,
                budget=self.result.budget,
                inputs=self.inputs,
                classes=self.data.classes,
                accuracy=accuracies,
                accuracy_of_run=self.result.last,
                best_accuracy_of_run=self.result.best,
                test_images=len(self.labels),
                anp=self.result.anp,
                layers=layers_of(self.network, small),
                sizes=sizes_of(self.network, small),
                speed=measure(networks, batches, DENSE),
            )
            write_json(unfinished / SUMMARY, summary)
            (unfinished / README).write_text(page_of(summary, onnx=onnx))
            write_checksums(unfinished)
        return summary

    def _executions(self, folder: Path, small: nn.Module, onnx: bool, threads: int) -> dict[str, Network]:
        """Every way to compute the logits: the dense network, and what was written, as it is read back."""
        networks: dict[str, Network] = {DENSE: self.network, COMPACT: load_exported(folder)}
        if any(isinstance(module, CsrLinear) for module in by_links(small).modules()):
            networks[LINKS] = load_exported(folder, "csr")
        if onnx:
            from chtexp.trained.onnx_file import onnx_model, onnx_session

            notes = {name: str(value) for name, value in self.inputs.items()}
            dense, compacted = (onnx_model(one, self.data.shape, notes) for one in (self.network, small))
            (folder / ONNX).write_bytes(compacted)
            networks[DENSE_ONNX] = onnx_session(dense, threads)
            networks[COMPACT_ONNX] = onnx_session((folder / ONNX).read_bytes(), threads)
        return networks

    def _checked(self, networks: Mapping[str, Network]) -> dict[str, float]:
        """Test accuracy (percent) by execution, once it is known to be that of the run."""
        logits = {name: self._logits(network) for name, network in networks.items()}
        dense_NK, accuracies = logits[DENSE], dict[str, float]()
        largest = float(dense_NK.abs().max())
        for name, logits_NK in logits.items():
            off = float((logits_NK - dense_NK).abs().max())
            if off > SAME * largest:
                raise Unavailable(f"{name}: computes something else, logits differ by {off:.2g}; nothing was written")
            accuracies[name] = 100 * int((logits_NK.argmax(1) == self.labels).sum()) / len(self.labels)
        same = SAME if self.run.hardware.precision == "float32" else SAME_IN_HALF_PRECISION
        first_N, second_N = dense_NK.topk(2).values.unbind(1)
        undecided = (
            100 * int((first_N - second_N <= same * largest).sum()) / len(self.labels)
        )  # rounding may decide these
        then = self.result.last
        for name, accuracy in accuracies.items():
            if then is not None and abs(accuracy - then) > undecided + 1e-6:
                raise Unavailable(
                    f"{name}: has a test accuracy of {accuracy:.2f}%, and the run ended at {then:.2f}%: its weights or its "
                    "data are not those of then; nothing was written"
                )
        return accuracies

    @torch.inference_mode()
    def _logits(self, network: Network) -> Tensor:
        return torch.cat([network(some) for some in self.images.split(AT_ONCE)])

    def _batch(self, size: int) -> Tensor:
        """Test images [size, C, H, W], from the beginning again where they are too few."""
        return self.images[torch.arange(size) % len(self.images)].contiguous()


def _last_weights(folder: Path, steps: int) -> dict[str, Tensor]:
    """The weights that a training ended with, absent links as zeros."""
    path = last_checkpoint(folder, steps)
    try:
        saved = Checkpoints(path.parent, lambda line: None).read(path.name, torch.device("cpu"))
        return plain_weights(saved["training"])
    except (Unusable, KeyError, TypeError) as error:
        raise Damaged(path, f"{error}") from None
