"""The page beside an exported classifier, in Markdown: what it is, how to use it, how small and how fast it is."""

from __future__ import annotations

from collections.abc import Sequence

from chtexp.system.others import DISTURBED
from chtexp.trained.export_summary import COMPACT, LayerSummary, Speed, Summary, hidden_share

OPSET = 18  # of the ONNX file
CODE = """```python
from chtexp.trained.exported import load_exported

network = load_exported(".")                     # plain modules of torch
network = load_exported(".", execution="csr")    # its sparse layers compute with their links alone, on a CPU
logits = network(images)
```"""


def speed_of(speed: Speed) -> str:
    """Show the times of all executions as a table."""
    return _table(_speed_rows(speed))


def page_of(summary: Summary, *, onnx: bool) -> str:
    """Write the page beside a network.

    Args:
        summary: what it is.
        onnx: whether there is an ONNX file.
    """
    return "\n\n".join([*_what(summary), *_use(summary, onnx), *_size(summary), *_speed(summary["speed"])]) + "\n"


def _what(summary: Summary) -> list[str]:
    best = summary["best_accuracy_of_run"]
    also = "" if best is None else f" (its best evaluation: {best:.2f}%)"
    return [
        f"# {summary['method']} on {summary['data']}: a network without its inactive neurons",
        f"Run {summary['run']}, seed {summary['seed']}, budget {summary['budget']}. Test accuracy: "
        f"{summary['accuracy'][COMPACT]:.2f}% of {summary['test_images']} images, as the run ended with{also}.",
    ]


def _use(summary: Summary, onnx: bool) -> list[str]:
    inputs = summary["inputs"]
    shape = ", ".join(map(str, inputs["shape"]))
    paragraphs = [
        CODE,
        f"`images` is [batch, {shape}] float32: (pixel / 255 - mean) / std, with mean {inputs['mean']} and std {inputs['std']} "
        "of the channels. The normalisation is not part of the network.",
    ]
    if onnx:
        paragraphs.append(
            f"`model.onnx` is the same network (opset {OPSET}): `images` [batch, {shape}] float32, normalised likewise, to "
            f"`logits` [batch, {summary['classes']}]."
        )
    return paragraphs


def _size(summary: Summary) -> list[str]:
    sizes = summary["sizes"]
    return [
        "## Neurons and links",
        _table(_layer_rows(summary["layers"])),
        f"{hidden_share(summary['layers']):.1%} of the hidden neurons are kept. Together with the inputs that have links, "
        f"{summary['anp']:.1%} of the neurons are active (ANP).",
        _table(
            [
                ["network", "parameters", "bytes"],
                ["dense", f"{sizes['dense_parameters']:,}", f"{sizes['dense_bytes']:,}"],
                ["links alone", f"{sizes['links']:,}", f"{sizes['links_bytes']:,}"],
                ["compact (`model.safetensors`)", f"{sizes['compact_parameters']:,}", f"{sizes['compact_bytes']:,}"],
            ]
        ),
    ]


def _speed(speed: Speed) -> list[str]:
    share = speed["busy_with_others"] or 0.0
    return [
        "## Speed",
        speed_of(speed),
        "Milliseconds an image: median (quartiles) over rounds in which all take turns; faster: than the dense network in torch, "
        "within rounds.",
        f"{speed['machine']}; threads of each: {speed['threads']}."
        + (f" Other work took {share:.0%} of the machine meanwhile." if share > DISTURBED else ""),
    ]


def _layer_rows(layers: Sequence[LayerSummary]) -> list[list[str]]:
    return [
        ["layer", "neurons kept", "inputs with links", "links kept", "density"],
        *(
            [
                one["layer"],
                f"{one['kept']:,} of {one['neurons']:,}",
                f"{one['linked']:,} of {one['inputs']:,}",
                f"{one['kept_links']:,} of {one['links']:,}",
                f"{one['kept_links'] / one['weights']:.1%}",
            ]
            for one in layers
        ),
    ]


def _speed_rows(speed: Speed) -> list[list[str]]:
    rows = [["network, and what computes it", "batch", "ms an image", "faster"]]
    for one in speed["timings"]:
        quartiles = f"{one['milliseconds']:.4f} ({one['low']:.4f} to {one['high']:.4f})"
        rows.append([one["execution"], str(one["batch"]), quartiles, f"{one['faster']:.1f}"])
    return rows


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|" + ":--|" + "--:|" * (len(rows[0]) - 1), *body])
