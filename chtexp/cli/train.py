"""chtexp train: one run, or Hydra's sweep with -m. What was typed is checked before Hydra sees it."""

from __future__ import annotations

import argparse
from pathlib import Path

from chtexp.cli.common import QUIET, check_config_dir, is_for_sweep, verdict
from chtexp.errors import UserError, unknown

TRAIN_FLAGS = (
    "--help",
    "--hydra-help",
    "--cfg",
    "--resolve",
    "--package",
    "--info",
    "--multirun",
    "--config-dir",
    "--quiet",
)
LOOK_ONLY = ("--help", "-h", "--hydra-help", "--version", "--info", "-i", "--shell-completion", "-sc")


def train(typed: list[str]) -> int:
    """Train, and return the exit code."""
    from chtexp.compose import check_sweep, compose_run

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--cfg", "-c")
    parser.add_argument("--package", "-p")
    known, rest = parser.parse_known_args(typed)
    overrides = [word for word in rest if not word.startswith("-")]
    if any(word in LOOK_ONLY for word in rest):
        _run_hydra(typed)
        return 0
    for word in rest:
        if word.startswith("-") and word != "--resolve":
            raise unknown("flag", word, TRAIN_FLAGS)
    check_config_dir(known.config_dir)
    if wrong := [override for override in overrides if is_for_sweep(override)]:
        raise UserError(
            f"{wrong[0]}: chtexp train is one run, in this process; chtexp sweep has launchers, and so has Hydra: "
            "chtexp train -m ... hydra/launcher=..."
        )
    flags = [word for word in typed if word != "--quiet"]
    for override in overrides:
        flags.remove(override)
    overrides += [QUIET] if known.quiet else []
    runs = check_sweep(overrides, known.config_dir) if known.multirun else [compose_run(overrides, known.config_dir)]
    _run_hydra([*flags, *overrides])  # Hydra wants its flags first
    return 0 if known.cfg else verdict(runs)


def _run_hydra(arguments: list[str]) -> None:
    from chtexp.cli.hydra_jobs import run_hydra  # loads torch: what is misspelt has been said before

    run_hydra(arguments)
