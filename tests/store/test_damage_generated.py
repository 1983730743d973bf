"""Every file of a run's folder, of a sweep's and of collected results, damaged in every way, under every command.

Whatever is damaged: no traceback, no hang, no other run hidden, no wrong number shown as right; and what `status` calls done is
what a table shows. Seed 0 is finished, seed 1 was interrupted, and another method's run, BESIDE, is never touched.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import pytest
from omegaconf import DictConfig

from chtexp.config.compose import compose_run
from chtexp.config.run import Run
from chtexp.launch.sweep_folder import SweepFolder, SweepTask
from chtexp.paper.plan import plan_runs
from chtexp.run.execute import execute
from chtexp.store import Result, RunFolder
from chtexp.store.collection import results_below, write_collection
from chtexp.store.evaluations import write_scores
from chtexp.store.files import write_json
from chtexp.store.records import Score
from chtexp.store.seal import unsealed

SMALL = ["budget=smoke", "model.hidden=[24]", "budget.train_limit=64", "hardware.threads=1"]
TABLE = ["quickstart", "row=FC,SET", *SMALL]
SHOWN, BESIDE = "SET", "FC"
COLLECTED = ("all.jsonl", "all.parquet")
RUN_FILES = (
    "config.yaml", "environment.json", "metrics.jsonl", "log.txt", "command.txt", "checkpoints/newest", "starts/0001.json",
    "starts/0001.end.json", "submitted.json", "cleared.json",
)  # fmt: skip
FILES = (
    *(f"seed-0/{name}" for name in ("result.json", "zeroshot.json", *RUN_FILES)),
    *(f"seed-1/{name}" for name in RUN_FILES),
    *(f"sweep/{name}" for name in ("sweep.json", "starts/0001.json", "starts/0001.end.json", "given")),
    *COLLECTED,
)
FOREIGN = "0123456789"
MAY_DIFFER = ("zeroshot", "command")  # what collecting adds to a result, and takes from it


# ---------------------------------------------------------------------- ways to damage a file


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def delete(path: Path) -> None:
    path.unlink()


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "what").write_text("else")


def flip(seed: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data, chance = bytearray(path.read_bytes()), random.Random(f"{seed} {path.name}")
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(data))

    return damage


def digit(path: Path) -> None:
    """Another digit in the middle of the longest number, of what is text."""
    data = path.read_bytes()
    if found := max(re.finditer(rb"\d+\.\d+", data), key=lambda one: len(one[0]), default=None):
        at = found.start() + len(found[0]) // 2
        data = data[:at] + (b"7" if data[at : at + 1] != b"7" else b"3") + data[at + 1 :]
    path.write_bytes(data)


def replaced(pattern: bytes, by: bytes) -> Callable[[Path], None]:
    """The first text like `pattern` replaced; where there is none, `by` alone is what is left."""

    def damage(path: Path) -> None:
        data, count = re.subn(pattern, by, path.read_bytes(), count=1)
        path.write_bytes(data if count else by)

    return damage


def written(text: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(text) and None


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": cut,
    "empty": empty,
    "zero": zero,
    "delete": delete,
    "directory": directory,
    "flip-0": flip(0),
    "flip-1": flip(1),
    "flip-2": flip(2),
    "digit": digit,
    "list": written(b"[1]\n"),
    "object": written(b"{}\n"),
    "nan": replaced(rb": -?\d+(\.\d+)?", b": NaN"),
    "huge": replaced(rb": -?\d+(\.\d+)?", b": 1e309"),
    "text": replaced(rb": -?\d+(\.\d+)?", b': "abc"'),
    "foreign": replaced(rb"[0-9a-f]{10}(?=[\"/])", FOREIGN.encode()),
    "deep": written(b"[" * 200_000),
    "quote": written(b"chtexp train 'x\n"),
    "no-text": written(b"\xff\xfe\n"),
}
NUMBERS: dict[str, Callable[[Path], object]] = {  # another number in a result
    name: replaced(rb'("%b": \d*\.?\d*)\d' % name.encode(), rb"\g<1>7")
    for name in ("reported", "last", "anp", "seconds", "nonzeros")
}
RESULTS = ("seed-0/result.json", "all.jsonl")
Call = Callable[..., tuple[int, str, str]]
CASES = [*((file, way) for file in FILES for way in DAMAGE), *((file, way) for file in RESULTS for way in NUMBERS)]


def test_there_are_enough() -> None:
    assert len(CASES) >= 300


# ---------------------------------------------------------------------- what is sound


@dataclass(frozen=True)
class Sound:
    """A folder that nothing happened to, and the truth. place: where a copy of it is used; its paths lead there."""

    kept: Path
    place: Path
    typed: dict[int, list[str]]
    truth: dict[tuple[str, int], Result]

    def copy(self) -> Path:
        shutil.rmtree(self.place)
        shutil.copytree(self.kept, self.place)
        return self.place

    def path(self, file: str) -> Path:
        """The file that is called so in FILES."""
        runs = self.place / "runs"
        if file in COLLECTED:
            return self.place / file
        first, _, name = file.partition("/")
        folder = next(runs.glob(".sweeps/*")) if first == "sweep" else next(runs.glob(f"*-set-*/{first}"))
        if name == "checkpoints/newest":
            return max((folder / "checkpoints").glob("*.pt"))
        return folder / name


class Interrupted(BaseException):
    """As a signal would end a training."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """Trained once a process that tests."""
    place, kept = tmp_path_factory.mktemp("place"), tmp_path_factory.mktemp("kept") / "sound"
    runs = place / "runs"

    planned = {
        (item.cell.row, item.seed): item.overrides for item in plan_runs("quickstart", [*TABLE[1:], "seed=0,1"], None)
    }

    def described(row: str, seed: int, *words: str) -> Run:
        return compose_run([*planned[row, seed], "checkpoint.steps=1", f"paths.runs={runs}", *words])

    typed = {seed: [*planned[SHOWN, seed], "checkpoint.steps=1"] for seed in (0, 1)}
    done, interrupted, beside = described(SHOWN, 0), described(SHOWN, 1), described(BESIDE, 0)
    command = "chtexp train {}".format(" ".join(typed[0]))
    execute(done, command)
    execute(beside, command)
    whole = described(SHOWN, 1, f"paths.runs={place}/whole")
    execute(whole, command)
    _interrupt(lambda: execute(interrupted, command))
    truth = results_below(runs) | results_below(place / "whole")
    shutil.rmtree(place / "whole")
    others = {}
    for seed in (7, 8):
        made = truth[done.id, 0].changed(seed=seed, reported=50.0 + seed, note="[x] files")
        truth[made.key] = others[made.key] = made
    for name in COLLECTED:
        write_collection(place / name, others)
    tasks = [SweepTask.of(run, command) for run in (done, interrupted)]
    sweep = SweepFolder.create(runs, {}, tasks)
    with sweep.conducted(tasks):
        pass
    score = {"task": "rte", "n": 10, "accuracy": 60.0, "matthews": 0.1}
    write_scores(done.folder.path, done.id, 0, [Score.of(score)])
    for run in (done, interrupted):
        write_json(run.folder.path / "cleared.json", {"start": 0})
    shutil.copytree(place, kept)
    return Sound(kept, place, typed, truth)


def _interrupt(train: Callable[[], object]) -> None:
    from chtexp.sparse import DynamicSparsity
    from chtexp.train.checkpoint import Checkpoints

    apply = DynamicSparsity.apply_gradients

    def stop(self: DynamicSparsity, *step: Callable[[], object]) -> None:
        if self.steps == 4:
            raise Interrupted
        apply(self, *step)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DynamicSparsity, "apply_gradients", stop)
        patched.setattr(Checkpoints, "busy", False)
        with pytest.raises(Interrupted):
            train()


@pytest.fixture(scope="module", autouse=True)
def _composed_once() -> Iterator[None]:
    """What is typed is the same in all cases: composing it, which is not what is tested, is done once."""
    from chtexp.config import compose
    from chtexp.paper import draw, grid

    whole, names = compose.composed, grid.grid_names
    remembered = lru_cache(maxsize=None)(lambda root, words, flags: whole(root, words, **dict(flags)))

    def copied(root: str, words: Sequence[str], **flags: bool) -> DictConfig:  # some who compose take parts away
        return deepcopy(remembered(root, tuple(words), tuple(flags.items())))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compose, "composed", copied)
        patched.setattr(grid, "grid_names", lambda folders: [name for name in names(folders) if name == TABLE[0]])
        patched.setattr(draw, "figure_names", lambda config_dir: [])
        yield


@pytest.fixture
def call(sound: Sound, monkeypatch, capfd) -> Call:
    """A command in this process: its exit code and what it says. Whatever it raises fails the test."""
    from chtexp.cli import main

    monkeypatch.chdir(sound.place.parent)
    monkeypatch.setenv("CHTEXP_RUNS", str(sound.place / "runs"))

    def call(*typed: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(typed)
        said = capfd.readouterr()
        assert "Traceback" not in said.out + said.err, typed
        assert ended.value.code in (None, 0, 1, 2), typed
        return ended.value.code or 0, said.out, said.err

    return call


# ---------------------------------------------------------------------- what commands must do


def looked_at(call: Call, sound: Sound) -> dict[str, str]:
    """The states of both seeds, of which every run is listed that was."""
    code, out, _ = call("status", "--json")
    assert code == 0
    runs = json.loads(out)
    states = {Path(run["folder"]).name: run["state"] for run in runs if "-set-" in run["run"]}
    assert set(states) == {"seed-0", "seed-1"}
    assert [run["state"] for run in runs if "-fc-" in run["run"]] == ["done"]
    for flags in ([], ["--failed"]):
        assert call("status", *flags)[0] == 0
    return states


def tabulated(call: Call, sound: Sound, states: dict[str, str], file: str) -> None:
    """A table of the folder, and of the folder with each collected file: right numbers alone."""
    for name in (None, *COLLECTED):
        also = ["--results", str(sound.place / name)] if name else []
        code, out, said = call("table", *TABLE, "--format", "json", *also)
        if code and name:  # the file that was named is none
            assert name in said
            continue
        assert code == 0, said
        rows = {row["row"]: row for row in json.loads(out)["rows"]}
        assert rows[BESIDE]["n"] == 1
        for row in rows.values():
            truth = [sound.truth[row["id"], int(seed)] for seed in row["seeds"]]
            assert row["values"] == [result.reported for result in truth]
            for name, scale in (("last", 1), ("anp", 100), ("nonzeros", 1), ("seconds", 1)):
                wanted = scale * fmean(getattr(result, name) for result in truth) if truth else None
                assert row[name] == (wanted if wanted is None else pytest.approx(wanted, rel=1e-12))
        assert (0 in rows[SHOWN]["seeds"]) == (states["seed-0"] == "done")


def collected(call: Call, sound: Sound, states: dict[str, str], file: str) -> None:
    """Collected: what is whole, and as it was."""
    for name in COLLECTED:
        output = sound.place / f"out-{name}"
        code, _, said = call("collect", "--output", str(output), "--add", str(sound.place / name))
        if code:
            assert name in said
            code, _, said = call("collect", "--output", str(output))
        assert code == 0, said
        found = {(one["id"], one["seed"]): one for one in read(output)}
        for key, one in found.items():
            assert facts(one) == facts(dict(sound.truth[key].plain))
        assert any(one["method"] == BESIDE for one in found.values())
        own = {seed for identity, seed in found if found[identity, seed]["method"] == SHOWN}
        assert (0 in own) == (states["seed-0"] == "done")
        before = sound.place / name
        code, _, said = call("collect", "--output", str(before))  # into the damaged file itself
        if code:
            assert name in said
        else:
            assert {one["reported"] for one in read(before)} <= {result.reported for result in sound.truth.values()}


def facts(plain: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in unsealed(plain).items() if value is not None and key not in MAY_DIFFER}


def read(path: Path) -> list[dict]:
    from chtexp.store.collection import read_collection

    return [dict(result.plain) for result in read_collection(path).values()]


def planned(call: Call, sound: Sound, states: dict[str, str], file: str) -> None:
    code, out, _ = call("plan", *TABLE, "seed=0,1", "--json")
    assert code == 0
    known = {(row["row"], row["seed"]): row["state"] for row in json.loads(out)}
    assert known[BESIDE, 0] == "done"
    assert known[SHOWN, 0] == states["seed-0"]


def cleaned(call: Call, sound: Sound, states: dict[str, str], file: str) -> None:
    for flags in ([], ["--checkpoints"], ["--unfinished"], ["--sweeps"]):
        assert call("clean", *flags)[0] == 0


def reported(call: Call, sound: Sound, states: dict[str, str], file: str) -> None:
    code, _, said = call("report", "--output", str(sound.place / "report.html"))
    assert code == 0, said


def trained(call: Call, sound: Sound, states: dict[str, str], file: str) -> None:
    """Trained again: to the right result, or to an error in one line that names what is in the way."""
    seed = int(file[5]) if file.startswith("seed-") else 0
    folder = sound.path(f"seed-{seed}/x").parent
    code, _, said = call("train", *sound.typed[seed])
    if code == 0:
        result = RunFolder(folder).finished()
        assert result is not None
        assert result.reported == sound.truth[result.id, seed].reported
        assert result.plain["state_sha256"] == sound.truth[result.id, seed].plain["state_sha256"]
    else:
        assert said.strip()


# ---------------------------------------------------------------------- the cases


PARTS = (tabulated, collected, planned, cleaned, reported, trained)


def parts_of(case: int) -> tuple[Callable[..., None], ...]:
    """What a case is shown to: all where a result is damaged, else one in turn, so that every file and way meets each."""
    file, way = CASES[case]
    turn = FILES.index(file) + list(DAMAGE | NUMBERS).index(way)
    return PARTS if file in RESULTS else (PARTS[turn % len(PARTS)],)


def test_every_file_and_every_way_of_damage_meets_every_command() -> None:
    met = {(part, what) for case, whats in enumerate(CASES) for what in whats for part in parts_of(case)}
    assert met >= {(part, what) for part in PARTS for what in (*FILES, *DAMAGE)}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", range(len(CASES)), ids=["-".join(case) for case in CASES])
def test_damage_costs_what_is_damaged_and_nothing_else(case: int, sound: Sound, call: Call) -> None:
    file, way = CASES[case]
    sound.copy()
    (DAMAGE | NUMBERS)[way](sound.path(file))
    states = looked_at(call, sound)
    for part in parts_of(case):
        part(call, sound, states, file)
