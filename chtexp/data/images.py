"""The image data sets, and how to load one: `load_images("mnist", Path("data"))`. Never touches the network.

A new data set is a function that reads it, an entry of `IMAGE_SETS` and a `conf/data/<name>.yaml`.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from chtexp.data.checksums import find_source, verify
from chtexp.data.cifar import read_cifar
from chtexp.data.digits import read_digits
from chtexp.data.idx import idx_names, read_idx_set
from chtexp.data.parquet import PATTERNS, read_parquet_set
from chtexp.data.published import EMNIST47_SHA256, FASHION_MNIST_SHA256, MNIST_SHA256, cifar_md5
from chtexp.data.spec import ImageData, ImageFiles, ImageSet
from chtexp.errors import Unavailable, UserError, unknown

_DIGITS = ImageSet(
    name="digits",
    title="digits",
    shape=(1, 8, 8),
    classes=10,
    train_examples=1437,
    test_examples=360,
    sources=(ImageFiles(folder="", files=dict, read=read_digits),),
)

_MNIST = ImageSet(
    name="mnist",
    title="MNIST",
    shape=(1, 28, 28),
    classes=10,
    train_examples=60_000,
    test_examples=10_000,
    sources=(
        ImageFiles(
            folder="MNIST/raw",
            files=lambda: MNIST_SHA256,
            read=partial(read_idx_set, train="train", test="t10k"),
        ),
    ),
    torchvision="MNIST",
)

_FASHION_MNIST = ImageSet(
    name="fashion_mnist",
    title="Fashion-MNIST",
    shape=(1, 28, 28),
    classes=10,
    train_examples=60_000,
    test_examples=10_000,
    sources=(
        ImageFiles(
            folder="FashionMNIST/raw",
            files=lambda: FASHION_MNIST_SHA256,
            read=partial(read_idx_set, train="train", test="t10k"),
        ),
    ),
    torchvision="FashionMNIST",
)

_EMNIST = ImageSet(
    name="emnist",
    title="EMNIST balanced",
    shape=(1, 28, 28),
    classes=47,
    train_examples=112_800,
    test_examples=18_800,
    sources=(
        ImageFiles(
            folder="EMNIST/raw",
            files=lambda: dict.fromkeys(idx_names("emnist-balanced-train", "emnist-balanced-test")),
            # The files hold every image with rows and columns swapped; here they stand upright, as in MNIST.
            read=partial(read_idx_set, train="emnist-balanced-train", test="emnist-balanced-test", transposed=True),
        ),
    ),
    torchvision="EMNIST",
    options={"split": "balanced"},
)

_EMNIST47 = ImageSet(
    name="emnist47",
    title="EMNIST47",
    shape=(1, 28, 28),
    classes=47,
    train_examples=90_605,
    test_examples=18_800,
    sources=(
        ImageFiles(
            folder="EMNIST47/raw",
            files=lambda: EMNIST47_SHA256,
            # Rows and columns are swapped in these files, too.
            read=partial(
                read_idx_set,
                train="emnist47-train",
                test="emnist47-test",
                transposed=True,
                source="EMNIST47, a stand-in for EMNIST balanced",
                stand_in=True,
            ),
        ),
    ),
)

_CIFAR10 = ImageSet(
    name="cifar10",
    title="CIFAR-10",
    shape=(3, 32, 32),
    classes=10,
    train_examples=50_000,
    test_examples=10_000,
    sources=(
        ImageFiles(
            folder="cifar-10-batches-py",
            files=partial(cifar_md5, "CIFAR10"),
            read=partial(
                read_cifar,
                train=[f"data_batch_{number}" for number in range(1, 6)],
                test=["test_batch"],
                label_key="labels",
            ),
        ),
        ImageFiles(
            folder="cifar10",
            files=lambda: dict.fromkeys(PATTERNS.values()),
            read=read_parquet_set,
        ),
    ),
    torchvision="CIFAR10",
)

_CIFAR100 = ImageSet(
    name="cifar100",
    title="CIFAR-100",
    shape=(3, 32, 32),
    classes=100,
    train_examples=50_000,
    test_examples=10_000,
    sources=(
        ImageFiles(
            folder="cifar-100-python",
            files=partial(cifar_md5, "CIFAR100"),
            read=partial(read_cifar, train=["train"], test=["test"], label_key="fine_labels"),
        ),
        ImageFiles(
            folder="cifar100",
            files=lambda: dict.fromkeys(PATTERNS.values()),
            read=partial(read_parquet_set, label_column="fine_label"),
        ),
    ),
    torchvision="CIFAR100",
)

IMAGE_SETS: dict[str, ImageSet] = {
    spec.name: spec for spec in (_DIGITS, _MNIST, _FASHION_MNIST, _EMNIST, _EMNIST47, _CIFAR10, _CIFAR100)
}


def load_images(name: str, root: Path | None) -> ImageData:
    """Load a data set from local files.

    Files with a published checksum (or one that `prepare_images` noted beside them) are compared with it before anything is read
    from them.

    Args:
        name: one of IMAGE_SETS.
        root: the folder below which the files lie; None for a set that needs none.

    Returns:
        Images uint8 [N, C, H, W] and labels int64 [N] of each split.

    Raises:
        UserError: an unknown name, a missing root, missing files or corrupt files; the message names the folder, the files, what
            was expected and found, and the command that mends it.
    """
    spec = image_set(name)
    base = data_root(spec, root)
    try:
        source = find_source(spec, base)
        verify(spec, source, base)
        read = source.read(spec, base / source.folder)
    except OSError as error:
        raise Unavailable(f"cannot read {error.filename or base}: {error.strerror or error}") from None
    (train_images, train_labels), (test_images, test_labels) = read.train, read.test
    return ImageData(
        name=name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=spec.classes,
        source=read.source,
        deviations=read.deviations,
    )


def image_set(name: str) -> ImageSet:
    """Find a data set by its name.

    Raises:
        UserError: there is none; the message names the choices.
    """
    if name not in IMAGE_SETS:
        raise unknown("image data set", name, IMAGE_SETS)
    return IMAGE_SETS[name]


def data_root(spec: ImageSet, root: Path | None) -> Path:
    """Expand the data root.

    Args:
        spec: the data set.
        root: of the data sets, or None.

    Raises:
        UserError: there is no root, and the data set needs files.
    """
    if root is not None:
        return Path(root).expanduser()
    if any(source.files() for source in spec.sources):
        fetch = f", then run 'chtexp prepare data={spec.name}'" if spec.torchvision else " that holds it"
        raise UserError(f"{spec.title} needs a data folder: set CHTEXP_DATA or paths.data to one{fetch}")
    return Path()
