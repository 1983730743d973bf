"""The data sets: real files, checked, read into memory. Nothing here trains or knows of masks."""

from chtexp.data.augment import PixelScale, random_crop_flip
from chtexp.data.images import IMAGE_SETS, load_images
from chtexp.data.prepare import prepare_images
from chtexp.data.spec import ImageData, ImageSet, Origin

__all__ = [
    "IMAGE_SETS",
    "ImageData",
    "ImageSet",
    "Origin",
    "PixelScale",
    "load_images",
    "prepare_images",
    "random_crop_flip",
]
