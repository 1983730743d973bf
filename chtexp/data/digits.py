"""The 1797 small digits that come with scikit-learn: a data set that needs no file and no network.

Source: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI machine learning
repository, 1998 (its test part), `sklearn.datasets.load_digits`.

Shapes: N images, C = 1 channel, H = W = 8.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from chtexp.data.checksums import check_split
from chtexp.data.spec import Arrays, ImageSet

SCALE = 15  # grey values 0..16 become 0..240
TEST_EVERY = 5


def read_digits(spec: ImageSet, folder: Path) -> Arrays:
    """Read the digits, 1437 to train and 360 to test.

    The split is fixed and stratified: with the images ordered by class (and within a class as they come), every fifth is a test
    image, the first one included. Both parts keep the original order.

    Args:
        spec: the data set.
        folder: not used.

    Raises:
        DataError: shapes, counts or labels are not those of `spec`.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy((bunch.images * SCALE).astype(np.uint8)).unsqueeze(1)  # [N, 8, 8] -> [N, 1, 8, 8]
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    is_test[labels.argsort(stable=True)[::TEST_EVERY]] = True
    train, test = (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])
    check_split(spec, folder, spec.train_examples, *train)
    check_split(spec, folder, spec.test_examples, *test)
    return Arrays(train=train, test=test, source="scikit-learn digits")
