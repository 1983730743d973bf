"""The matrices of Figure 5, kept in a file beside this one: to make them takes torch, to draw them should not.

Shapes: O outputs, I inputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

FILE = Path(__file__).with_name("figure5.json")
Matrices = Sequence[Mapping[str, "np.ndarray"]]  # rows of panels, each a bool array [O, I] by its name


def read_matrices() -> Matrices:
    """Read the matrices that `write_matrices` wrote last.

    Returns:
        Rows of panels, each a bool array [O, I] by its name.
    """
    import numpy as np

    def mask_OI(links: Sequence[str]) -> np.ndarray:
        packed = np.frombuffer(bytes.fromhex("".join(links)), dtype=np.uint8)
        return np.unpackbits(packed).reshape(len(links), -1).astype(bool)

    return [{name: mask_OI(links) for name, links in row.items()} for row in json.loads(FILE.read_text())]


def write_matrices(matrices: Matrices) -> None:
    """Write the matrices to FILE: a hexadecimal string for each output, eight inputs a byte.

    Args:
        matrices: rows of panels, each a bool array [O, I] by its name; I is a multiple of 8.
    """
    import numpy as np

    rows = [
        {name: [bytes(line).hex() for line in np.packbits(mask_OI, axis=1)] for name, mask_OI in row.items()}
        for row in matrices
    ]
    FILE.write_text(json.dumps(rows, indent=1) + "\n")
