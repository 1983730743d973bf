"""What went on beside a training: when its seconds are marked, over how many starts, and that pauses are seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from chtexp.config.run import Run
from chtexp.run.execute import execute
from chtexp.train import beside
from chtexp.train.beside import Beside, Watch


@pytest.mark.parametrize(
    ("facts", "computes", "disturbed"),
    [
        (Beside(100.0, 99.0, 4.0), True, False),
        (Beside(100.0, 99.0, 4.0, niceness=19), True, False),  # low priority on an idle machine costs nothing
        (Beside(100.0, 99.0, 6.0), True, True),  # others had 6% of the cores
        (Beside(100.0, 89.0, 0.0), True, True),  # it was stopped for 11 s, or waited
        (Beside(100.0, 91.0, 0.0), True, False),
        (Beside(100.0, 20.0, 0.0), False, False),  # it waits for a GPU, or for other processes
        (Beside(100.0, 190.0, 0.0), True, False),  # on two threads
        (Beside(100.0, 99.0, None), True, False),
        (Beside(100.0, 99.0, None, niceness=1), True, True),  # nobody can tell
        (Beside(), True, False),  # of earlier code, which did not say
    ],
)
def test_which_seconds_are_marked(facts: Beside, computes: bool, disturbed: bool) -> None:
    assert facts.summary(computes=computes)["disturbed"] is disturbed


def test_starts_add_up(monkeypatch) -> None:
    now = {"wall": 50.0, "own": 7.0, "niceness": 0}
    monkeypatch.setattr(time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(time, "process_time", lambda: now["own"])
    monkeypatch.setattr(os, "getpriority", lambda which, who: now["niceness"])
    monkeypatch.setattr(beside.OtherWork, "share", lambda self: 0.25)
    first = Watch(Beside(), told=True)
    now |= {"wall": 60.0, "own": 16.0}
    assert first.now() == Beside(10.0, 9.0, 2.5, 0)
    now |= {"niceness": 19}
    second = Watch(first.now(), told=True)
    now |= {"wall": 64.0, "own": 18.0}
    assert second.now() == Beside(14.0, 11.0, 3.5, 19)
    assert second.now().summary(computes=True) == {
        "others": 0.25, "own": pytest.approx(11 / 14), "niceness": 19, "disturbed": True,
    }  # fmt: skip
    now |= {"niceness": 0}
    assert Watch(second.now(), told=True).now().niceness == 19
    assert Watch(second.now(), told=False)._others is None
    monkeypatch.setattr(beside.OtherWork, "share", lambda self: None)
    third = Watch(second.now(), told=True)
    now |= {"wall": 65.0}
    assert third.now().others is None  # and stays so
    assert Watch(third.now(), told=True).now().others is None


PAUSED = """
import time
from chtexp.train.beside import Beside, Watch
watch, end = Watch(Beside(), told=True), time.process_time() + 1.0
print("at work", flush=True)
while time.process_time() < end:
    pass
said = watch.now()
print(said.seconds, said.own, said.summary(computes=True)["disturbed"])
"""


def test_a_process_that_is_stopped_and_continued_says_so() -> None:
    process = subprocess.Popen([sys.executable, "-c", PAUSED], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(2.0)
    process.send_signal(signal.SIGCONT)
    seconds, own, disturbed = process.communicate(timeout=60)[0].split()
    assert float(seconds) > 2.0
    assert float(own) == pytest.approx(1.0, abs=0.3)
    assert disturbed == "True"


def test_a_result_tells_what_went_on_beside_it(small_run: Callable[..., Run]) -> None:
    told = execute(small_run(), "command")["environment"]["beside"]
    assert told.keys() == {"others", "own", "niceness", "disturbed"}
    assert told["own"] > 0
    assert told["niceness"] == os.getpriority(os.PRIO_PROCESS, 0)
    assert told["others"] is None or 0 <= told["others"] <= 1


def test_a_run_that_goes_on_carries_what_went_on_before(small_run: Callable[..., Run], monkeypatch) -> None:
    """Stopped half way; the first start was crowded, the second is not: the seconds of the whole are marked by both."""
    from chtexp.distributed.rendezvous import Rendezvous, Wish
    from chtexp.system.signals import Stopped

    shares = iter([0.5, 0.0])
    share = next(shares)
    monkeypatch.setattr(beside.OtherWork, "share", lambda self: share)
    run = small_run("task.epochs=1000")
    with monkeypatch.context() as here:
        agreed = Rendezvous.agreed
        steps = iter(range(1000))

        def stop_at_40(self: Rendezvous, wish: Wish, *, last: bool) -> Wish | None:
            return agreed(self, Wish(wish.save, signal.SIGTERM if next(steps) == 40 else wish.stop), last=last)

        here.setattr(Rendezvous, "agreed", stop_at_40)
        with pytest.raises(Stopped):
            execute(run, "command")
    share = next(shares)
    told = execute(run, "command")["environment"]["beside"]
    assert 0 < told["others"] < 0.5
