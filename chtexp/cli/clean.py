"""chtexp clean: what can be removed; nothing is, unless it was shown and agreed to."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from chtexp.cli.common import add_config_dir, conditions, runs_folder
from chtexp.launch.sweep_folder import SweepFolder
from chtexp.store import DAMAGED, OPEN, Damaged, RunFolder, is_conducted
from chtexp.store.damage import pass_over
from chtexp.store.folder import remove

KINDS = {
    "checkpoints": "checkpoints of runs that are done",
    "unfinished": "runs that ended before they were done (failed, timed out, preempted, stale), or never began",
    "sweeps": "folders of sweeps of which nothing is open any more, and code that no open sweep uses",
}


EXAMPLE = "chtexp clean --checkpoints"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    for kind, what in KINDS.items():
        sub.add_argument(f"--{kind}", action="store_true", help=what)
    sub.add_argument("--yes", action="store_true", help="remove what is shown without asking")
    sub.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help="paths.runs=FOLDER")
    add_config_dir(sub)


def run(parsed: argparse.Namespace) -> int:
    """Show, ask, remove."""
    runs = runs_folder(parsed.overrides, parsed.config_dir)
    found = _removable(runs)
    chosen = [kind for kind in KINDS if getattr(parsed, kind)]
    for kind in chosen or KINDS:
        paths = found[kind]
        size = sum(map(_size, paths))
        print(f"{KINDS[kind]}: {len(paths)}, {size / 1e6:.1f} MB" + ("" if chosen else f"  (--{kind})"))
        for path in paths if chosen else ():
            print(f"  {path}")
    doomed = [path for kind in chosen for path in found[kind]]
    if not doomed:
        return 0
    if not parsed.yes and not _agreed():
        print("nothing was removed")
        return 0
    still = {path for paths in _removable(runs).values() for path in paths}  # the answer may have taken a while
    doomed = [path for path in doomed if path in still]

    for path in doomed:
        remove(path)
        if path.parent != runs and path.name.startswith("seed-") and not any(path.parent.iterdir()):
            path.parent.rmdir()
    print(f"removed: {len(doomed)}")
    return 0


def _removable(runs: Path) -> dict[str, list[Path]]:
    folders = RunFolder.every(runs)
    states = {
        folder.path.resolve(): condition.state for folder, condition in zip(folders, conditions(folders), strict=True)
    }
    open_runs = {path for path, state in states.items() if state in OPEN}
    sweeps = [path for path in sorted((runs / ".sweeps").glob("*")) if path.is_dir()]
    idle = []
    for path in sweeps:
        try:
            tasks = SweepFolder(path).read()[1] if (path / "sweep.json").exists() else []
        except Damaged as damage:
            pass_over(damage)
            continue
        if not is_conducted(str(path)) and not any(Path(task.folder).resolve() in open_runs for task in tasks):
            idle.append(path)
    code = sorted((runs / ".code").glob("*")) if len(idle) == len(sweeps) else []
    return {
        "checkpoints": [
            f.checkpoints for f in folders if states[f.path.resolve()] == "done" and f.checkpoints.exists()
        ],
        "unfinished": [f.path for f in folders if states[f.path.resolve()] not in (*OPEN, DAMAGED, "done")],
        "sweeps": [*idle, *code],
    }


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _agreed() -> bool:
    if not sys.stdin.isatty():
        print("add --yes to remove them")
        return False
    return input("remove them? [y/N] ").strip().lower() in ("y", "yes")
