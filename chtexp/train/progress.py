"""The progress of a run on the screen: a bar on a terminal, one line an evaluation elsewhere, or nothing."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from chtexp.system.kernels_cache import clock

SHARES = {"density": "density {:.4f}", "anp": "ANP {:.3f}"}
REFRESH_SECONDS = 0.1  # between two drawings of the bar: most steps cost no more than reading the clock
TEXT = "{task.description}  {task.percentage:.0f}%  {task.completed}/{task.total}  {task.fields[said]}"


def is_watched() -> bool:
    """Tell whether there is a terminal that can draw a bar.

    Log files, terminals that cannot move the cursor (TERM=dumb) and continuous integration (CI in the environment) get plain
    lines.
    """
    drawn = sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal
    return drawn and os.environ.get("CI", "").lower() in ("", "0", "false")


class ProgressLine:
    """Shows steps, steps a second, time left, metric, density and ANP. Time in which kernels are compiled does not count.

    All of it was computed for the run's own records, so showing it never waits for the device.

    Args:
        name: what the run is called.
        total_steps: optimizer steps of the whole training.
        first_step: the step that this start begins with; the rate counts from there.
        metric: the metric to show.
        log: receives every line that is to be kept.
        quiet: whether to draw no bar.
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
        self._start, self._first, self._step = clock(), first_step, first_step
        self._shown: dict[str, str] = {}
        self._due = math.inf  # when the bar is drawn next
        self._bar: Progress | None = None
        if is_watched() and not quiet:
            self._bar = _bar()
            self._task = self._bar.add_task(name, total=total_steps, completed=first_step, said="")
            self._open()

    def advance(self) -> None:
        """Count one more step."""
        self._step += 1
        if time.monotonic() >= self._due:
            self._draw()

    def show(self, record: Mapping[str, object]) -> None:
        """Show the metric, density and ANP of an evaluation or a topology update, as far as its record has them."""
        if self._metric in record:
            self._shown[self._metric] = f"{self._metric} {record[self._metric]:.2f}"
        self._shown |= {key: form.format(record[key]) for key, form in SHARES.items() if key in record}

    def evaluated(self, step: int, record: Mapping[str, object]) -> None:
        """Print one line about an evaluation, above the bar.

        Args:
            step: optimizer steps so far.
            record: what was evaluated, by name.
        """
        self.show(record)
        self.close()
        self._log(f"{self._name}  step {step}/{self._total}  loss {record['train_loss']:.4f}  {self._said(step)}")
        self._open()

    def close(self) -> None:
        """Remove the bar from the terminal."""
        self._due = math.inf
        if self._bar:
            self._bar.stop()

    def _open(self) -> None:
        if self._bar:
            self._draw()
            self._bar.start()
            self._bar.console.show_cursor(True)  # a process that is killed leaves the terminal as it was

    def _draw(self) -> None:
        assert self._bar
        self._bar.update(self._task, completed=self._step, said=self._said(self._step), refresh=True)
        self._due = time.monotonic() + REFRESH_SECONDS

    def _said(self, step: int) -> str:
        rate = (step - self._first) / max(clock() - self._start, 1e-9)
        left = _clock((self._total - step) / rate) if rate else "?"
        return "  ".join([*self._shown.values(), f"{rate:.3g} steps/s", f"{left} left"])


def _bar() -> Progress:
    """A bar that is drawn on demand, by no thread of its own, and disappears when it stops."""
    return Progress(
        TextColumn(TEXT, markup=False),
        BarColumn(bar_width=None),  # all that the text leaves free
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
        expand=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _clock(seconds: float) -> str:
    """Seconds as `01:20` or `1:01:20`."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"
