"""The run folders: what is written where, and how to read it back. Knows nothing of torch or Hydra."""

from chtexp.store.folder import STATES, RunFolder, RunLocked
from chtexp.store.identity import run_id

__all__ = ["STATES", "RunFolder", "RunLocked", "run_id"]
