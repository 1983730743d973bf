"""The kinds of sources of images, by name. A kind that is added here is one that `data.source` may name."""

from __future__ import annotations

from chtexp.pictures.folder import ImageFolder
from chtexp.pictures.hub import HubImages
from chtexp.pictures.npz import NpzFile
from chtexp.pictures.source import ImageSource

SOURCES: dict[str, type[ImageSource]] = {"image_folder": ImageFolder, "npz": NpzFile, "hub": HubImages}
