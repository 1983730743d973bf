"""What a person sees while a run trains: a bar on a terminal, one line an evaluation elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from tqdm import tqdm


class ProgressLine:
    """Shows steps, rate and time left; `log` gets every line that should be kept."""

    def __init__(self, name: str, total_steps: int, first_step: int, log: Callable[[str], None]) -> None:
        self._log, self._name, self._total = log, name, total_steps
        self._start, self._first = time.monotonic(), first_step
        terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total_steps, initial=first_step, desc=name, unit="step", leave=False, disable=not terminal
        )

    def advance(self) -> None:
        """One more step is done."""
        self._bar.update()

    def evaluated(self, step: int, record: Mapping[str, Any], metric: str) -> None:
        """Print one evaluation."""
        left = (time.monotonic() - self._start) / max(step - self._first, 1) * (self._total - step)
        with tqdm.external_write_mode():
            self._log(
                f"{self._name}  step {step}/{self._total}  loss {record['train_loss']:.4f}  {metric} {record[metric]:.2f}  "
                f"density {record['density']:.4f}  ANP {record['anp']:.3f}  {left:.0f} s left"
            )

    def close(self) -> None:
        self._bar.close()
