"""Workers side by side, each with threads and GPUs of its own; a run that takes its worker down harms no other."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from chtexp.launch.failures import Failures
from chtexp.launch.sweep_folder import SweepTask
from chtexp.launch.worker import Reply
from chtexp.store import condition
from chtexp.system.oom import memory_kills
from chtexp.system.signals import listens

Say = Callable[[str], None]
LISTENED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Place:
    """What one worker has for itself.

    Attributes:
        label: its name in the log.
        threads: on the CPU.
        gpus: as CUDA_VISIBLE_DEVICES names them; None: whatever is visible.
        log: the file of what its runs print.
    """

    label: str
    threads: int
    gpus: str | None
    log: Path


class Pool:
    """Carries out tasks on places.

    Args:
        places: one for each worker.
        failures: of the sweep; no further task starts once there are too many.
        say: told when a run begins and what became of it.
        is_open: asked before a task is given out; a task that is not open is passed over.
        through: told of every task that was given out and has ended, with what was said of it.
    """

    def __init__(
        self,
        places: Sequence[Place],
        failures: Failures,
        say: Say,
        *,
        is_open: Callable[[SweepTask], bool] = lambda task: True,
        through: Callable[[SweepTask, str], object] = lambda task, said: None,
    ) -> None:
        self._places, self._failures, self._say = places, failures, say
        self._is_open, self._tell = is_open, through
        self._workers: list[_Worker] = []
        self._asked: int | None = None

    def run(self, tasks: Sequence[SweepTask]) -> None:
        """Carry out every task that is not done, being done, or awaited elsewhere.

        Signals that ask to stop are passed on: the runs save themselves. A second Ctrl-C ends them at once. The call returns when
        all workers have ended.

        Args:
            tasks: the tasks, in the order in which they are given out.
        """
        waiting = deque(enumerate(tasks, 1))
        self._total = len(tasks)
        with self._signals(), selectors.DefaultSelector() as selector:
            for place in self._places[: len(waiting)]:
                if self._goes_on():
                    self._employ(place, waiting, selector)
            while selector.get_map():
                for key, _ in selector.select():
                    worker: _Worker = key.data
                    if (reply := worker.read()) is not None:
                        self._through(worker, reply)
                        self._next(worker, waiting)
                        continue
                    selector.unregister(worker.replies)
                    self._ended(worker)
                    if waiting and self._goes_on():
                        self._employ(worker.place, waiting, selector)
        if waiting:
            self._say(f"{len(waiting)} runs were not started")

    @property
    def asked(self) -> int | None:
        """The signal that the pool was last asked to stop by; None: it was not."""
        return self._asked

    def stop(self, number: int) -> None:
        """Have every run save itself and end. A second Ctrl-C ends it at once.

        Args:
            number: of the signal that the workers get.
        """
        at_once = number == signal.SIGINT and self._asked == signal.SIGINT
        for worker in list(self._workers):
            worker.send(signal.SIGKILL if at_once else number)
        self._asked = number

    def wait(self) -> None:
        """Wait until every worker's process has ended."""
        for worker in list(self._workers):
            with suppress(ChildProcessError):  # reaped; not by Popen.wait, whose lock a signal may have come upon
                os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)

    # ------------------------------------------------------------------ parts

    def _goes_on(self) -> bool:
        return self._asked is None and not self._failures.too_many()

    def _employ(self, place: Place, waiting: deque[tuple[int, SweepTask]], selector: selectors.BaseSelector) -> None:
        worker = _Worker(place)
        self._workers.append(worker)
        selector.register(worker.replies, selectors.EVENT_READ, worker)
        self._next(worker, waiting)
        if self._asked is not None:  # while it was being made
            worker.send(self._asked)

    def _next(self, worker: _Worker, waiting: deque[tuple[int, SweepTask]]) -> None:
        while waiting and self._goes_on():
            number, task = waiting.popleft()
            if self._is_open(task):
                self._say(f"[{number}/{self._total}] {task.label}: begins on worker {worker.place.label}")
                worker.give(number, task)
                return
        worker.dismiss()

    def _through(self, worker: _Worker, reply: Reply) -> None:
        number, task = worker.number, worker.task
        assert task
        if reply.error and task.run_folder.starts == worker.starts_before:  # what its folder knows nothing of
            self._failures.traceless += not reply.locked
            self._say_through(number, task, f"not begun ({reply.error})")
            return
        found = condition(task.run_folder)
        said = found.reason
        if result := found.result:
            value = result.last if result.reported is None else result.reported
            said = f"{result.metric} {'–' if value is None else format(value, '.2f')} in {result.seconds:.0f} s"
        self._say_through(number, task, found.state + (f" ({said})" if said else ""))

    def _say_through(self, number: int, task: SweepTask, said: str) -> None:
        self._say(f"[{number}/{self._total}] {task.label}: {said}")
        self._tell(task, said)

    def _ended(self, worker: _Worker) -> None:
        """A worker's process has ended: dismissed, asked to stop, or taken down by its run."""
        code = worker.reap()
        self._workers.remove(worker)
        if worker.task is None:
            return
        start = worker.task.run_folder.last_start()
        begun = start is not None and start.is_of(worker.process.pid)
        if begun and start and not start.end_path.exists():
            start.end("failed", reason=_cause(code, worker.kills_before), traceback="", step=None)
        if not begun:
            self._say_through(worker.number, worker.task, f"not begun; its worker ended with {code}")
            self._failures.traceless += self._asked is None
            return
        self._through(worker, Reply())

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def passed_on(number: int, frame: FrameType | None) -> None:
            self.stop(number)
            os.write(2, f"{signal.Signals(number).name}: the runs save themselves and stop\n".encode())

        before = {number: signal.signal(number, passed_on) for number in LISTENED if listens(number)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Worker:
    """A worker process, and the task it has."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.number, self.task = 0, None  # type: tuple[int, SweepTask | None]
        ours, theirs = os.pipe()
        place.log.parent.mkdir(parents=True, exist_ok=True)
        with place.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "chtexp.launch.worker", str(theirs), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs,),
                env=_environment(place),
                start_new_session=True,  # signals reach it by way of the pool alone
                text=True,
            )
        os.close(theirs)
        self.replies: IO[str] = os.fdopen(ours)

    def give(self, number: int, task: SweepTask) -> None:
        """Have the worker carry out a task."""
        self.number, self.task = number, task
        self.kills_before, self.starts_before = memory_kills(), task.run_folder.starts
        self._write(json.dumps(asdict(task)) + "\n")

    def dismiss(self) -> None:
        """Let the worker end."""
        self.task = None
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def _write(self, line: str) -> None:
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it has ended, as its replies will show
            self.process.stdin.write(line)
            self.process.stdin.flush()

    def read(self) -> Reply | None:
        """Read the worker's reply when it is through with its task; None: it has ended."""
        line = self.replies.readline()
        return Reply(**json.loads(line)) if line else None

    def reap(self) -> int:
        """Close what led to a worker that has ended, and return its exit code."""
        self.replies.close()
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        return self.process.wait()

    def send(self, number: int) -> None:
        """Send the worker a signal, unless it has ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)


def _environment(place: Place) -> dict[str, str]:
    """The worker's: threads and GPUs as it was given them."""
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        environment[name] = str(place.threads)
    if place.gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = place.gpus
    return environment


def _cause(code: int, kills_before: int) -> str:
    """Why a worker ended that was not asked to."""
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    if name == "SIGKILL" and memory_kills() > kills_before:
        return "out of memory: the system killed its process (SIGKILL)"
    return f"its process was killed ({name})"
