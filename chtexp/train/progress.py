"""What a person sees while a run trains: a bar on a terminal, one line an evaluation elsewhere, or nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from tqdm import tqdm

SHARES = {"density": "density {:.4f}", "anp": "ANP {:.3f}"}


def is_watched() -> bool:
    """Whether somebody looks at a terminal: a log file and continuous integration (CI in the environment) get plain lines."""
    return sys.stderr.isatty() and os.environ.get("CI", "").lower() in ("", "0", "false")


class ProgressLine:
    """Shows steps, rate, time left, metric, density and ANP; `log` gets every line that should be kept.

    first_step: where this start goes on, from which the rate is taken. All that it shows was computed for the run's own
    records: it never waits for the device.
    """

    def __init__(
        self,
        name: str,
        total_steps: int,
        first_step: int,
        metric: str,
        log: Callable[[str], None],
        *,
        quiet: bool = False,
    ) -> None:
        self._log, self._name, self._total, self._metric = log, name, total_steps, metric
        self._start, self._first = time.monotonic(), first_step
        self._shown: dict[str, str] = {}
        self._bar = tqdm(
            total=total_steps,
            initial=first_step,
            desc=name,
            unit="step",
            leave=False,
            dynamic_ncols=True,
            disable=quiet or not is_watched(),
        )

    def advance(self) -> None:
        """One more step is done."""
        self._bar.update()

    def show(self, record: Mapping[str, Any]) -> None:
        """Show what an evaluation, or a topology update, says of the metric, density and ANP."""
        if self._metric in record:
            self._shown[self._metric] = f"{self._metric} {record[self._metric]:.2f}"
        self._shown |= {key: form.format(record[key]) for key, form in SHARES.items() if key in record}
        self._bar.set_postfix_str("  ".join(self._shown.values()), refresh=False)

    def evaluated(self, step: int, record: Mapping[str, Any]) -> None:
        """Print one evaluation."""
        rate = (step - self._first) / max(time.monotonic() - self._start, 1e-9)
        left = tqdm.format_interval((self._total - step) / rate) if rate else "?"
        self.show(record)
        with tqdm.external_write_mode():
            self._log(
                f"{self._name}  step {step}/{self._total}  loss {record['train_loss']:.4f}  "
                f"{'  '.join(self._shown.values())}  {rate:.3g} steps/s  {left} left"
            )

    def close(self) -> None:
        self._bar.close()
