"""The run folders: what is written where, and how to read it back. Knows nothing of torch or Hydra."""

from chtexp.store.conditions import DAMAGED, OPEN, STATES, Condition, Said, condition
from chtexp.store.damage import LAST
from chtexp.store.folder import Job, RunFolder, is_conducted
from chtexp.store.identity import run_id
from chtexp.store.starts import RunLocked

__all__ = [
    "DAMAGED",
    "LAST",
    "OPEN",
    "STATES",
    "Condition",
    "Job",
    "RunFolder",
    "RunLocked",
    "Said",
    "condition",
    "is_conducted",
    "run_id",
]
