"""The weights of a model alone, small on disk and free of masks when read: to test, translate or export with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from chtexp.sparse import bits
from chtexp.sparse.engine import DynamicSparsity
from chtexp.sparse.links import Links


def portable_weights(sparsity: DynamicSparsity) -> dict[str, Any]:
    """A copy of all parameters and buffers: sparse weights as the bits of their mask and the values of their links."""
    sparse = {f"{layer.name}.weight": layer for layer in sparsity.layers}
    return {
        "dense": {
            name: value.detach().clone() for name, value in sparsity.model.state_dict().items() if name not in sparse
        },
        "sparse": {
            name: {
                "shape": list(layer.shape),
                "mask": bits.pack(layer.mask_OI),
                "weight": layer.state().weight_K.clone(),
            }
            for name, layer in sparse.items()
        },
    }


def dense_weights(portable: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict of a plain model: absent links are zeros in ordinary matrices."""
    found = dict(portable["dense"])
    for name, saved in portable["sparse"].items():
        outputs, inputs = saved["shape"]
        weight_OI = torch.zeros(outputs, inputs, dtype=saved["weight"].dtype, device=saved["weight"].device)
        Links.of_mask(bits.unpack(saved["mask"], (outputs, inputs))).put(weight_OI, saved["weight"])
        found[name] = weight_OI
    return found
