"""chtexp export: a trained network in a folder for use elsewhere, an image classifier or a language model."""

from __future__ import annotations

import argparse
import os
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from chtexp.cli.common import above_zero, positive, said_if_slow
from chtexp.cli.trained import add_trained_run, writer_of
from chtexp.config.images import ImageClassificationRecipe
from chtexp.config.text import LanguageModellingRecipe
from chtexp.errors import UserError
from chtexp.trained.folder import check_new, last_checkpoint, result_of, run_of

EXAMPLE = "chtexp export runs/mnist-chts_n-paper-e4da6e3180/seed-0 mine"
ABOUT = """Of an image classifier: the network without its inactive neurons, as model.safetensors, which
chtexp.trained.exported.load_exported reads, and as model.onnx; summary.json and README.md say how many neurons, links and bytes
it has, and how fast it is here. Its test accuracy is checked against that of the run. Of a language model: a folder that
transformers.AutoModelForCausalLM.from_pretrained loads."""
FORMATS = ("onnx", "safetensors")
ONNX_NEEDS = ("onnx", "onnxruntime", "onnxscript")
OF_IMAGES = {"format": "--format", "data": "--data", "threads": "--threads", "seconds": "--seconds"}


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    sub.description = f"{sub.description}. {ABOUT}"
    add_trained_run(sub)
    sub.add_argument("output", type=Path, metavar="FOLDER", help="a new folder")
    images = sub.add_argument_group("of an image classifier")
    images.add_argument(
        "--format", choices=FORMATS, help="onnx: both files; safetensors: no model.onnx (default: onnx)"
    )
    images.add_argument(
        "--data", type=Path, help="root of the data sets (default: CHTEXP_DATA, or where the run had them)"
    )
    images.add_argument("--threads", type=positive, help="of each execution that is timed (default: 1)")
    images.add_argument("--seconds", type=above_zero, help="to time each execution at each size of batch (default: 2)")


def run(parsed: argparse.Namespace) -> int:
    """Write the folder."""
    run = run_of(parsed.folder)
    if isinstance(run.task, ImageClassificationRecipe):
        return _classifier(parsed)
    if not isinstance(run.task, LanguageModellingRecipe):
        raise UserError(
            f"{parsed.folder} is a run of {run.task.name}; image classifiers and language models are exported"
        )
    if given := [flag for name, flag in OF_IMAGES.items() if getattr(parsed, name) is not None]:
        raise UserError(
            f"{given[0]} is for image classifiers, and {parsed.folder} is a run of {run.task.name}: leave it out"
        )
    check_new(parsed.output)
    writer_of(parsed).export(parsed.output)
    print(f"written: {parsed.output}; transformers.AutoModelForCausalLM.from_pretrained loads it")
    return 0


def _classifier(parsed: argparse.Namespace) -> int:
    """Write an image classifier; what a person may get wrong is said before torch is loaded."""
    if parsed.device != "cpu":
        raise UserError("an image classifier is exported and timed on the CPU: leave out --device")
    check_new(parsed.output)
    last_checkpoint(parsed.folder, result_of(parsed.folder).steps)
    onnx = parsed.format != "safetensors"
    if onnx and (missing := [name for name in ONNX_NEEDS if find_spec(name) is None]):
        raise UserError(
            f"model.onnx needs {', '.join(missing)}: pip install 'chtexp[export]', or write the rest with --format safetensors"
        )
    with said_if_slow("loading the network"):
        from chtexp.bench.inference import measure_inference
        from chtexp.trained.classifier import Classifier
        from chtexp.trained.export_page import speed_of
        from chtexp.trained.export_summary import COMPACT, hidden_share

        root = parsed.data or (Path(os.environ["CHTEXP_DATA"]) if os.environ.get("CHTEXP_DATA") else None)
        classifier = Classifier(parsed.folder, root)
    threads = parsed.threads or 1
    measure = partial(measure_inference, threads=threads, seconds=parsed.seconds or 2.0)
    summary = classifier.export(parsed.output, measure, onnx=onnx, threads=threads)
    print(speed_of(summary["speed"]))
    print(f"{hidden_share(summary['layers']):.1%} of the hidden neurons, accuracy {summary['accuracy'][COMPACT]:.2f}%")
    print(f"written: {parsed.output}; chtexp.trained.exported.load_exported loads it")
    return 0
