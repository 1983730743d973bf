"""What is written about a start before its training: config, environment, uncommitted changes to the code, and plug-ins."""

from __future__ import annotations

from collections.abc import Callable

import yaml

from chtexp.config.plugins import frozen_plugins
from chtexp.config.run import Run
from chtexp.run.environment import environment, provenance
from chtexp.store import Damaged, RunFolder
from chtexp.store.files import set_aside, write_atomically, write_json
from chtexp.store.folder import remove
from chtexp.store.records import Environment


def write_circumstances(run: Run, processes: int, say: Callable[[str], None]) -> None:
    """Write config, environment, uncommitted changes and the run's plug-ins into its folder.

    Args:
        run: the run.
        processes: the number of processes that train it together.
        say: receives a line if a run resumes with another number of threads or processes than it began with, and if what
            earlier starts noted is damaged.
    """
    folder = run.folder
    write_atomically(
        folder.config,
        lambda file: file.write(yaml.safe_dump(run.config(), sort_keys=False).encode()),
    )
    starts = _former_starts(folder, say)
    here = environment(processes)
    for what in ("threads", "processes"):
        before = getattr(starts[-1], what) if starts else here[what]
        if before != here[what] and folder.checkpoints.exists():
            say(
                f"note: this run was begun with {before} {what} and goes on with {here[what]}: it may end "
                f"another way than an undisturbed one; set hardware.{what} to keep them equal"
            )
    write_json(folder.environment, [*(start.plain for start in starts), here])
    frozen_plugins(run.plugins, folder.plugins)
    remove(folder.diff)
    if diff := provenance()["diff"]:
        folder.diff.write_text(diff)


def _former_starts(folder: RunFolder, say: Callable[[str], None]) -> list[Environment]:
    """What former starts noted of themselves; damaged, it is set aside."""
    try:
        return folder.environments()
    except Damaged as damage:
        say(f"{damage}; it is kept in {set_aside(damage.path)}")
        return []
