"""A network as an ONNX file, and a session of onnxruntime that runs it. Needs `pip install 'chtexp[export]'`.

Shapes: B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from chtexp.trained.export_page import OPSET

INPUT, OUTPUT = "images", "logits"


def onnx_model(network: nn.Module, shape: tuple[int, ...], notes: dict[str, str]) -> bytes:
    """Convert a network.

    Args:
        network: in evaluation mode, on the CPU.
        shape: C, H and W.
        notes: kept as the model's metadata.

    Returns:
        The content of an ONNX file, opset 18: `images` [B, C, H, W] to `logits` [B, K], for any B.
    """
    batch = {0: torch.export.Dim("batch")}
    with _quietly():
        program = torch.onnx.export(
            network,
            (torch.zeros(2, *shape),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=(batch,),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for part in (
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.value_info,
        *model.graph.initializer,
    ):
        del part.metadata_props[:]  # where in whose source each came from
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, notes)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def onnx_session(model: bytes, threads: int) -> Callable[[Tensor], Tensor]:
    """Start a session of onnxruntime on the CPU.

    Args:
        model: the content of an ONNX file that `onnx_model` made.
        threads: how many it may use.

    Returns:
        A function from images [B, C, H, W] to logits [B, K].
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


@contextmanager
def _quietly() -> Iterator[None]:
    """Torch's exporter tells about its stages; what fails is raised all the same."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
