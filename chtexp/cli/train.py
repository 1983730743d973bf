"""chtexp train: one run, or Hydra's sweep with -m. What was typed is checked before Hydra sees it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from chtexp.cli.common import (
    EXIT_FAILURE,
    QUIET,
    add_plugin,
    check_config_dir,
    exit_code_of,
    is_for_sweep,
    name_plugins,
    said_if_slow,
)
from chtexp.config.compatibility import note_on_method
from chtexp.config.compose import (
    SWEEPER,
    check_sweep,
    compose_chosen_run,
    compose_run,
    compose_runs_folder,
    fixed_overrides,
    quoted,
    train_command,
)
from chtexp.config.plugins import plugins_named
from chtexp.errors import UserError, unknown
from chtexp.run.done import done_already
from chtexp.store import RunLocked

TRAIN_FLAGS = (
    "--help",
    "--hydra-help",
    "--cfg",
    "--resolve",
    "--package",
    "--info",
    "--multirun",
    "--config-dir",
    "--plugin",
    "--quiet",
)
DIRECTION = "hydra.sweeper.direction="
LOOK_ONLY = ("--help", "-h", "--hydra-help", "--version", "--info", "-i", "--shell-completion", "-sc")


def train(typed: list[str]) -> int:
    """Train, and return the exit code."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--cfg", "-c")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--package", "-p")
    add_plugin(parser)
    known, rest = parser.parse_known_args(typed)
    name_plugins(known.plugins)
    overrides = [word for word in rest if not word.startswith("-")]
    if any(word in LOOK_ONLY for word in rest):
        _run_hydra(_without_plugins(typed))
        return 0
    if flags := [word for word in rest if word.startswith("-")]:
        raise unknown("flag", flags[0], TRAIN_FLAGS)
    if (known.resolve or known.package) and not known.cfg:
        raise UserError("--resolve and --package say how --cfg shows the configuration: add --cfg job")
    check_config_dir(known.config_dir)
    if wrong := [override for override in overrides if is_for_sweep(override)]:
        raise UserError(
            f"{wrong[0]}: chtexp train is one run, in this process; chtexp sweep has launchers, and so has Hydra: "
            "chtexp train -m ... hydra/launcher=..."
        )
    if known.plugins and any(override.startswith("plugins=") for override in overrides):
        raise UserError("name plug-ins by --plugin, or by plugins=[...], but not by both")
    if not known.multirun and (sweeper := [word for word in overrides if word.startswith(SWEEPER)]):
        raise UserError(f"{sweeper[0]} is for many runs: add -m, as in chtexp train -m {sweeper[0]} ...")
    quiet = [QUIET] if known.quiet else []
    if not (known.multirun or known.cfg or any(override.startswith("hydra") for override in overrides)):
        return _train_one([*overrides, *quiet], known.config_dir)
    flags = [word for word in _without_plugins(typed) if word not in (*overrides, "--quiet")]  # of Hydra
    runs = check_sweep([*overrides, *quiet], known.config_dir)
    named = (
        [f"plugins=[{','.join(map(quoted, plugins_named()))}]"] if known.plugins else []
    )  # for jobs in other processes
    arguments = [*flags, *overrides, *named, *quiet]  # Hydra wants its flags first
    if runs is None and not known.cfg:
        if f"{SWEEPER}optuna" in overrides and not any(word.startswith(DIRECTION) for word in overrides):
            family = compose_run(fixed_overrides(overrides), known.config_dir).family
            arguments.append(f"{DIRECTION}{'minimize' if family.data == 'text' else 'maximize'}")  # perplexity
        return _search(arguments, compose_runs_folder(fixed_overrides(overrides), known.config_dir))
    _run_hydra(arguments)
    return 0 if known.cfg or runs is None else exit_code_of(runs)


def _without_plugins(words: Sequence[str]) -> list[str]:
    """The words without the flag for plug-ins and its values, which Hydra does not know."""
    kept = []
    after_flag = False
    for word in words:
        if not after_flag and not word.startswith("--plugin="):
            kept.append(word)
        after_flag = word == "--plugin"
    return [word for word in kept if word != "--plugin"]


def _search(arguments: list[str], runs: Path) -> int:
    """A sweep by another sweeper than Hydra's own; what it found, as it wrote it beside its jobs."""
    from chtexp.run.execute import RunFailed

    began = time.time()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what ended the search, and prints no traceback
    try:
        _run_hydra(arguments)
    except (RunLocked, RunFailed) as error:
        print(f"chtexp: {error}; hydra.sweeper may say how many trials may fail", file=sys.stderr, flush=True)
        return EXIT_FAILURE
    for path in (runs / ".sweeps").glob("*/optimization_results.yaml"):
        if path.stat().st_mtime >= began:
            print(f"{path}:\n{path.read_text().rstrip()}")
    return 0


def _train_one(overrides: Sequence[str], config_dir: Path | None) -> int:
    """One run, in this process, composed once."""
    run, method = compose_chosen_run(overrides, config_dir)
    if note := note_on_method(method, run.model, run.data.name):
        print(f"chtexp: {note}", file=sys.stderr, flush=True)
    if done_already(run):
        return 0
    with said_if_slow("loading torch"):
        from chtexp.run.execute import RunFailed, execute

    try:
        execute(run, train_command(overrides, config_dir))
    except (RunLocked, RunFailed) as error:
        print(f"chtexp: {error}", file=sys.stderr, flush=True)
        return EXIT_FAILURE
    return 0


def _run_hydra(arguments: list[str]) -> None:
    from chtexp.cli.hydra_jobs import run_hydra  # of Hydra, what a single run does without

    run_hydra(arguments)
