"""Models that know nothing of masks; each says which of its linear maps may be sparse and how they feed each other."""

from chtexp.models.mlp import MLP

__all__ = ["MLP"]
