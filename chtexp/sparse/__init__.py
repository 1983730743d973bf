"""Dynamic sparse training: methods as data, and the engine that owns the masks."""

from chtexp.config.method import Method, load_method, method_names
from chtexp.config.schedules import DensitySchedule, density_schedule
from chtexp.sparse.checkpoint import load_training_state, training_state
from chtexp.sparse.compact import compact
from chtexp.sparse.cpu.execution import Choice
from chtexp.sparse.diagnostics import UpdateRecord
from chtexp.sparse.engine import DynamicSparsity
from chtexp.sparse.portable import dense_weights, portable_weights

__all__ = [
    "Choice",
    "DensitySchedule",
    "DynamicSparsity",
    "Method",
    "UpdateRecord",
    "compact",
    "dense_weights",
    "density_schedule",
    "load_method",
    "load_training_state",
    "method_names",
    "portable_weights",
    "training_state",
]
