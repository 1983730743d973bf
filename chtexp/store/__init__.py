"""The run folders: what is written where, and how to read it back. Knows nothing of torch or Hydra."""

from chtexp.store.conditions import DAMAGED, OPEN, STATES, Condition, Said, condition
from chtexp.store.damage import Damaged
from chtexp.store.folder import RunFolder, is_conducted
from chtexp.store.identity import run_id
from chtexp.store.records import Job
from chtexp.store.results import LAST, Result
from chtexp.store.starts import RunLocked

__all__ = [
    "DAMAGED",
    "LAST",
    "OPEN",
    "STATES",
    "Condition",
    "Damaged",
    "Job",
    "Result",
    "RunFolder",
    "RunLocked",
    "Said",
    "condition",
    "is_conducted",
    "run_id",
]
