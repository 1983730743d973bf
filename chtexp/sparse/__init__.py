"""Dynamic sparse training: methods as data, and the engine that owns the masks."""

from chtexp.sparse.engine import DynamicSparsity
from chtexp.sparse.layer import UpdateRecord
from chtexp.sparse.method import Method, load_method, method_names
from chtexp.sparse.schedules import DensitySchedule, density_schedule

__all__ = [
    "DensitySchedule",
    "DynamicSparsity",
    "Method",
    "UpdateRecord",
    "density_schedule",
    "load_method",
    "method_names",
]
