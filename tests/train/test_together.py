"""Several processes that train together end where one ends that trains on the same batches, but for rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chtexp.config.compose import compose_run
from chtexp.config.run import Run
from chtexp.distributed.group import ALONE, Processes
from chtexp.distributed.rendezvous import Rendezvous, Wish
from chtexp.sparse import method_names

from .together import outcome

SCRIPT = Path(__file__).with_name("together.py")
EXECUTIONS = ("dense", "csr")


# 161 examples in batches of 32 leave a batch of one at the end of every epoch: nothing for the other processes.
SMALL = ["data=digits", "budget=smoke", "budget.train_limit=161", "model.hidden=[48,40]"]


def torchrun(processes: int, folder: Path, cases: dict[str, Run]) -> dict:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    (folder / "cases.json").write_text(json.dumps({name: run.config() for name, run in cases.items()}))
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
         "--nproc-per-node", str(processes), SCRIPT, folder / "cases.json", folder / "out.json"],
        env=environment, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((folder / "out.json").read_text())


def assert_together_as_alone(processes: int, folder: Path, cases: dict[str, Run]) -> None:
    """The masks are equal to the last link, at every update; the losses within 1e-4."""
    together = torchrun(processes, folder, cases)
    for name, run in cases.items():
        alone, shared = outcome(run.config(), ALONE), together[name]
        assert len(alone["records"]) == len(shared["records"]) >= 3
        for one, other in zip(alone["records"], shared["records"], strict=True):
            numbers = {key: value for key, value in one.items() if isinstance(value, int | float)}
            assert {key: other[key] for key in numbers} == pytest.approx(numbers, rel=1e-4, abs=1e-6)
            assert [other[key] for key in one if key not in numbers] == [one[key] for key in one if key not in numbers]
        assert shared["masks"] == alone["masks"], name


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_every_method_in_both_executions(processes: int, tmp_path: Path) -> None:
    methods = [name for name in method_names() if "/" not in name] if processes == 2 else ["chts_n", "rigl"]
    cases = {
        f"{method} {execution}": compose_run(
            [
                *SMALL,
                f"method={method}",
                *(["method.sparsity=0.8"] if method != "fc" else []),
                f"hardware.execution={execution}",
            ]
        )
        for method in methods
        for execution in EXECUTIONS
    }
    assert_together_as_alone(processes, tmp_path, cases)


@pytest.mark.slow
def test_rewiring_by_other_choices(tmp_path: Path) -> None:
    choices = {
        "reset": ["method=rigl", "method.regrown_links=reset"],
        "stopped": ["method=cht", "method.early_stop=0.3"],
        "delta": ["method=chts_n", "method.removal.soft.schedule=delta"],
        "elastic": ["method=chts_n", "method/density=em_s", "method.zeta=0"],
    }
    cases = {
        f"{name} {execution}": compose_run(
            [*SMALL, *overrides, "method.sparsity=0.8", f"hardware.execution={execution}"]
        )
        for name, overrides in choices.items()
        for execution in EXECUTIONS
    }
    assert_together_as_alone(2, tmp_path, cases)


@pytest.mark.slow
def test_translation_with_steps_of_two_batches(small_translation: Callable[..., Run], tmp_path: Path) -> None:
    """Without dropout, which every process draws for itself."""
    same = ("task.accumulate=2", "model.dropout=0", "model.attention_dropout=0")
    methods = [name for name in method_names() if name.startswith("transformer/")]
    cases = {
        f"{method} {execution}": small_translation(*same, f"method={method}", f"hardware.execution={execution}")
        for method in methods
        for execution in EXECUTIONS
        if execution == "dense" or method in ("transformer/chtss", "transformer/rigl")
    }
    assert_together_as_alone(2, tmp_path, cases)


@pytest.mark.slow
def test_language_modelling_with_steps_of_several_parts(small_text: Callable[..., Run], tmp_path: Path) -> None:
    methods = [name for name in method_names() if name.startswith("llama/")]
    cases = {
        f"{method} {execution}": small_text("task.at_once=2", f"method={method}", f"hardware.execution={execution}")
        for method in methods
        for execution in EXECUTIONS
        if execution == "dense" or method in ("llama/chtss", "llama/rigl")
    }
    cases["documents"] = small_text(
        "task.at_once=2", "method=llama/chtss", "data.packing=document", "data.sequence_length=64"
    )
    assert_together_as_alone(2, tmp_path, cases)


def test_one_process_alone_tells_itself_everything() -> None:
    tensor = torch.arange(3)
    assert ALONE.leads
    assert ALONE.sum(tensor) is ALONE.mean(tensor) is ALONE.broadcast(tensor) is tensor
    assert ALONE.all_max([3, 1]) == [3, 1]
    assert ALONE.broadcast_object("x") == "x"
    assert ALONE.all_gather("x") == ["x"]
    ALONE.assert_equal("nothing", [tensor])


def test_masks_that_differ_are_an_error(monkeypatch) -> None:
    group = Processes(1, 3)
    monkeypatch.setattr(group, "all_gather", lambda value: [value, "another", value])
    with pytest.raises(RuntimeError, match="the masks differ between rank 0 and rank 1"):
        group.assert_equal("the masks", [torch.arange(3)])


class Other(Processes):
    """Two processes, of which the other one wants something."""

    def __init__(self, rank: int, theirs: list[int]) -> None:
        super().__init__(rank, 2)
        self.theirs, self.meetings = theirs, 0

    def all_max(self, numbers):
        self.meetings += 1
        return [max(pair) for pair in zip(numbers, self.theirs, strict=True)]


def test_alone_every_step_is_a_meeting() -> None:
    meetings = Rendezvous(ALONE)
    assert meetings.agreed(Wish(save=True), last=False) == Wish(save=True)
    assert meetings.agreed(Wish(stop=15), last=False) == Wish(stop=15)


def test_together_they_do_what_the_leader_saves_and_anyone_was_asked_for() -> None:
    leader = Rendezvous(Other(0, [0, 15, 0]))
    assert leader.agreed(Wish(save=True), last=False) == Wish(save=True, stop=15)
    follower = Rendezvous(Other(1, [0, 0, 40]))
    assert follower.agreed(Wish(save=True), last=False) == Wish()  # saving is the leader's affair
    assert [follower.agreed(Wish(stop=2), last=False) for _ in range(39)] == [None] * 39
    assert follower.agreed(Wish(stop=2), last=False) == Wish(stop=2)
    assert follower.agreed(Wish(stop=2), last=True) == Wish(stop=2)


def test_meetings_are_about_a_second_apart(monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("chtexp.distributed.rendezvous.time.monotonic", lambda: clock[0])
    group = Other(0, [0, 0, 0])
    meetings = Rendezvous(group)
    for _ in range(500):
        clock[0] += 0.02
        meetings.agreed(Wish(), last=False)
    assert group.meetings == pytest.approx(500 * 0.02, abs=2)
