"""From images of one's own, as a person asks for them, to what was measured of them: before there is a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, JsonValue

from chtexp.config.plugged import PLUGGED
from chtexp.config.plugins import used_plugins
from chtexp.config.typed import Description, describe

if TYPE_CHECKING:
    from chtexp.pictures.kept import Kept

CHOSEN = ("family", "name", "augment", "mlp_hidden", "stands_in_for")  # keys of data that say nothing of how to read it


SOURCE_NAMES = ("image_folder", "npz", "hub")  # of `chtexp.pictures.sources.SOURCES`

Images = Callable[[Mapping[str, object], Path], dict[str, object]]  # `measured_images`


class OwnImages(Description):
    """Where images of one's own were found, and what they are.

    Attributes:
        source: the kind of source: `image_folder`, `npz`, `hub`, or another of `chtexp.pictures.sources.SOURCES`.
        asked: how they were asked for; paths are absolute.
        fingerprint: of their pixels, labels, split and order; what makes them what they are.
        class_names: by label.
        revision: of the data set, where its place keeps several.
    """

    source: str = Field(json_schema_extra={"identity": False})
    asked: dict[str, JsonValue] = Field(json_schema_extra={"identity": False})
    fingerprint: str
    class_names: tuple[str, ...] = Field(json_schema_extra={"identity": False})
    revision: str | None = Field(default=None, json_schema_extra={"identity": False})


def are_own_images(data: object) -> bool:
    """Tell whether data are asked for that must be measured before they can be described."""
    return isinstance(data, Mapping) and data.get("family") == "images" and "source" in data


def measured_images(data: Mapping[str, object], cache: Path) -> dict[str, object]:
    """Describe images of one's own. They are measured the first time; from then on the record says what they are.

    Args:
        data: as a person asked for them: `source`, its settings, and CHOSEN.
        cache: the root of prepared data.

    Returns:
        The fields of `ImageDataConfig`.

    Raises:
        FilesChanged: they have changed since they were measured.
        UserError: something that was typed is wrong, or something is wrong with the images.
    """
    asked = {key: value for key, value in data.items() if key not in (*CHOSEN, "source")}
    kept = _kept(data["source"], asked, cache)
    record = kept.record()
    return {
        **{key: data[key] for key in CHOSEN if key in data},
        "name": str(data.get("name") or kept.source.title),
        "shape": record.shape,
        "classes": len(record.classes),
        "train_examples": sum(record.train_counts),
        "test_examples": sum(record.test_counts),
        "mean": record.mean,
        "std": record.std,
        "own": {
            "source": kept.kind,
            "asked": kept.asked,
            "fingerprint": record.fingerprint,
            "class_names": record.classes,
            "revision": record.revision,
        },
    }


def measured_once() -> Images:
    """Make a `measured_images` that looks once at each data set, for a command that describes many runs."""
    known: dict[str, dict[str, object]] = {}

    def images(data: Mapping[str, object], cache: Path) -> dict[str, object]:
        key = json.dumps([data, str(cache)], sort_keys=True, default=str)
        if key not in known:
            known[key] = measured_images(data, cache)
        return known[key]

    return images


def kept_images(own: OwnImages, cache: Path) -> Kept:
    """Find the place where images of one's own are kept.

    Args:
        own: where they were found, and what they are.
        cache: the root of prepared data.

    Raises:
        UserError: their kind of source is not known here.
    """
    return _kept(own.source, own.asked, cache)


def _kept(kind: object, asked: Mapping[str, object], cache: Path) -> Kept:
    from chtexp.config.own_arrays import own_source
    from chtexp.pictures.kept import Kept  # numpy and Pillow, which no other data need here
    from chtexp.pictures.sources import SOURCES

    if isinstance(kind, str) and (own := PLUGGED.get("data", kind)):
        (plugin,) = used_plugins([("data", kind)])
        return Kept(kind, describe(own_source(own, plugin.sha256), {**asked, "sha256": plugin.sha256}, "data"), cache)
    if not isinstance(kind, str) or kind not in SOURCES:
        raise PLUGGED.unknown("data", "data.source", kind)
    return Kept(kind, describe(SOURCES[kind], asked, "data"), cache)
