"""The command line: chtexp train | sweep | plan | status | table | prepare | bench.

Exit codes: 0 done, 1 something failed, 2 a mistake in what was typed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chtexp import __version__
from chtexp.errors import UserError, unknown

if TYPE_CHECKING:
    from chtexp.experiments.description import Run
    from chtexp.planning import PlannedRun

EXIT_FAILURE, EXIT_USER_ERROR, EXIT_INTERRUPTED = 1, 2, 130
TRAIN_FLAGS = ("--help", "--hydra-help", "--cfg", "--resolve", "--package", "--info", "--multirun", "--config-dir")
LOOK_ONLY = ("--help", "-h", "--hydra-help", "--version", "--info", "-i", "--shell-completion", "-sc")


def share_cores() -> None:
    """Let idle threads sleep sooner; to be called before torch is loaded. What the environment says comes first.

    Threads that wait for others spin on their core, by default for milliseconds, and where another process wants that core
    the thread they wait for does not get it. Steps of the MNIST MLP at 99%, two threads on two cores: 1.5 ms instead of 3.5
    beside a busy process, 2.4 instead of 6.8 for two trainings side by side, and no slower alone.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    share_cores()
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(_command(typed))
    except UserError as error:
        print(f"chtexp: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except KeyboardInterrupt:
        print(
            "chtexp: interrupted; the same command goes on from the last checkpoint, if there is one yet",
            file=sys.stderr,
        )
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.exit(EXIT_FAILURE)
    except OSError as error:
        print(f"chtexp: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)


def _command(typed: list[str]) -> int:
    if typed[:1] == ["train"]:
        return train(typed[1:])  # Hydra's own command line, flags and all
    parsed = _parser().parse_args(typed)
    return int(parsed.run(parsed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chtexp",
        description="Dynamic sparse training: run it, compare it, and print the paper's tables from the results.",
        epilog="example: chtexp train data=digits method=chts_n budget=smoke",
    )
    parser.add_argument("--version", action="version", version=f"chtexp {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("train", help="one run, or Hydra's sweep with -m: chtexp train --help", add_help=False)

    sweep_ = _subcommand(
        commands,
        "sweep",
        sweep,
        "train the cells of a table that are missing",
        "chtexp sweep table7 data=mnist budget=smoke",
    )
    sweep_.add_argument("--dry-run", action="store_true", help="show what would start, and start nothing")
    plan_ = _subcommand(
        commands,
        "plan",
        plan,
        "list a table's runs, their states and their cost",
        "chtexp plan table7 data=mnist budget=cpu",
    )
    plan_.add_argument("--json", action="store_true", help="as JSON")
    table_ = _subcommand(
        commands,
        "table",
        table,
        "print a table from the results there are",
        "chtexp table table7 --format latex",
    )
    table_.add_argument("--format", default="md", metavar="md|csv|latex|html|json", help="the format (default: md)")
    table_.add_argument("--output", type=Path, help="write to this file instead of the terminal")
    for sub in (sweep_, plan_, table_):
        sub.add_argument("name", metavar="TABLE", help="a file of conf/paper, e.g. table7")
        sub.add_argument(
            "overrides",
            nargs="*",
            metavar="KEY=VALUE",
            help="choose cells (data=mnist), change runs (budget=smoke), set seeds (seed=0,1), add a row (+method=mine)",
        )

    status_ = _subcommand(commands, "status", status, "list every run and its state", "chtexp status --failed")
    status_.add_argument(
        "--failed", action="store_true", help="only failed runs, with the reason and the command that goes on"
    )
    status_.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="paths.runs=FOLDER")

    prepare_ = _subcommand(
        commands,
        "prepare",
        prepare,
        "download and check a data set ahead of time",
        "chtexp prepare data=mnist",
    )
    prepare_.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="data=NAME, paths.data=FOLDER")
    bench_ = _subcommand(
        commands,
        "bench",
        bench,
        "measure time and memory here, dense against sparse",
        "chtexp bench step networks=mnist density=0.01,0.1 threads=2",
    )
    bench_.add_argument("what", metavar="WHAT", help="step, linkpred, update, memory or epoch")
    bench_.add_argument(
        "settings",
        nargs="*",
        metavar="KEY=VALUE",
        help="what and how to measure (networks=mnist,cifar10, rounds=20), lists by commas; a wrong key is answered by all keys",
    )
    bench_.add_argument("--json", action="store_true", help="as one JSON object")
    bench_.add_argument(
        "--output",
        type=Path,
        action="append",
        default=[],
        help="write to this file, too: .json or .md; may be repeated",
    )
    for sub in (sweep_, plan_, table_, status_, prepare_):
        sub.add_argument("--config-dir", type=Path, help="a folder of your own configuration, laid out as conf/")
    return parser


def _subcommand(
    commands: argparse._SubParsersAction, name: str, run: object, what: str, example: str
) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(name, help=what, description=what, epilog=f"example: {example}")
    sub.set_defaults(run=run)
    return sub


# ---------------------------------------------------------------------- train


def train(typed: list[str]) -> int:
    """One run; with -m Hydra's sweep. What was typed is checked before Hydra sees it."""
    from chtexp.compose import check_sweep, compose_run
    from chtexp.launch import run_hydra

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--cfg", "-c")
    parser.add_argument("--package", "-p")
    known, rest = parser.parse_known_args(typed)
    overrides = [word for word in rest if not word.startswith("-")]
    if any(word in LOOK_ONLY for word in rest):
        run_hydra(typed)
        return 0
    for word in rest:
        if word.startswith("-") and word != "--resolve":
            raise unknown("flag", word, TRAIN_FLAGS)
    _check_config_dir(known.config_dir)
    runs = check_sweep(overrides, known.config_dir) if known.multirun else [compose_run(overrides, known.config_dir)]
    flags = list(typed)
    for override in overrides:
        flags.remove(override)
    run_hydra([*flags, *overrides])  # Hydra wants its flags first
    return 0 if known.cfg else _verdict(runs)


# ---------------------------------------------------------------------- the cells of a table


def sweep(parsed: argparse.Namespace) -> int:
    """Train what is missing of a table."""
    from chtexp.compose import train_command
    from chtexp.launch import launch

    for_hydra = [word for word in parsed.overrides if word.lstrip("+~").startswith("hydra")]
    planned = _planned(parsed, [word for word in parsed.overrides if word not in for_hydra])
    states = {item: item.run.folder.state() for item in planned}
    over = ("running",) if any(item.run.overwrite for item in planned) else ("running", "done")
    waiting = [item for item in planned if states[item] not in over]
    counts = Counter(states.values())
    print(
        f"{parsed.name}: {len(planned)} runs, {counts['done']} done, {counts['running']} running elsewhere, "
        f"{len(waiting)} to start"
    )
    if parsed.dry_run:
        for item in waiting:
            print(f"  {item.run.id} seed {item.seed}  {train_command(item.overrides, parsed.config_dir)}")
        return 0
    folder = planned[0].run.paths.runs / ".sweeps" / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{os.getpid()}"
    launch([item.overrides for item in waiting], folder, for_hydra, parsed.config_dir)
    return _verdict([item.run for item in waiting])


def plan(parsed: argparse.Namespace) -> int:
    """What a table needs, what is there, and what the rest would cost."""
    import json

    from chtexp.compose import train_command
    from chtexp.experiments.cost import cost
    from chtexp.report.formats import lines_of

    planned = _planned(parsed, parsed.overrides)
    rows: list[dict[str, Any]] = []
    for item in planned:
        estimate = cost(item.run)
        rows.append(
            {
                "row": item.cell.row,
                "column": item.cell.column,
                "seed": item.seed,
                "state": item.run.folder.state(),
                "id": item.run.id,
                "budget": item.run.budget.name,
                "steps": estimate.steps,
                "parameters": estimate.parameters,
                "nonzeros": estimate.nonzeros,
                "flops_dense": estimate.dense_flops,
                "flops_sparse": estimate.sparse_flops,
                "command": train_command(item.overrides, parsed.config_dir),
            }
        )
    if parsed.json:
        print(json.dumps(rows, indent=2))
        return 0
    heads = [
        "method",
        "data",
        "seed",
        "state",
        "id",
        "steps",
        "parameters",
        "non-zeros",
        "FLOPs dense",
        "FLOPs sparse",
    ]
    shown = [
        [r["row"], r["column"], r["seed"], r["state"], r["id"], r["steps"], f"{r['parameters']:,}", f"{r['nonzeros']:,}",
         f"{r['flops_dense']:.2e}", f"{r['flops_sparse']:.2e}"]
        for r in rows
    ]  # fmt: skip
    print(f"{parsed.name} at budget {' and '.join(sorted({item.run.budget.name for item in planned}))}")
    print(lines_of(shown, heads))
    counts = {
        state: sum(row["state"] == state for row in rows) for state in dict.fromkeys(row["state"] for row in rows)
    }
    print(f"{len(rows)} runs: {', '.join(f'{count} {state}' for state, count in counts.items())}")
    left = [row for row in rows if row["state"] != "done"]
    print(
        f"still to train: {sum(row['flops_dense'] for row in left):.2e} FLOPs dense, "
        f"{sum(row['flops_sparse'] for row in left):.2e} if the sparsity is executed (training, linear layers)"
    )
    return 0


def table(parsed: argparse.Namespace) -> int:
    """A table, from results alone."""
    from chtexp.planning import finished_table
    from chtexp.report import FORMATS, render

    if parsed.format not in FORMATS:
        raise unknown("format", parsed.format, FORMATS)
    _check_config_dir(parsed.config_dir)
    text = render(finished_table(parsed.name, parsed.overrides, parsed.config_dir), parsed.format)
    if parsed.output:
        parsed.output.parent.mkdir(parents=True, exist_ok=True)
        parsed.output.write_text(text)
        print(f"written: {parsed.output}")
    else:
        print(text, end="")
    return 0


def _planned(parsed: argparse.Namespace, overrides: list[str]) -> list[PlannedRun]:
    from chtexp.planning import plan_runs

    _check_config_dir(parsed.config_dir)
    return plan_runs(parsed.name, overrides, parsed.config_dir)


def _check_config_dir(config_dir: Path | None) -> None:
    if config_dir is not None and not config_dir.is_dir():
        raise UserError(f"--config-dir {config_dir} is not a folder")


def _verdict(runs: Sequence[Run]) -> int:
    """Say what became of runs that were launched; a failure if any is not done."""
    left = [run for run in runs if run.folder.state() != "done"]
    for run in left:
        error = run.folder.read_error()
        print(
            f"{run.folder.state()}: {run.folder.path}" + (f"  ({error['reason']})" if error else ""),
            file=sys.stderr,
        )
    if len(runs) > 1:
        print(f"{len(runs) - len(left)} of {len(runs)} runs done")
    return EXIT_FAILURE if left else 0


# ---------------------------------------------------------------------- all runs


def status(parsed: argparse.Namespace) -> int:
    """Every run folder and its state, read off its files."""
    from chtexp.report.formats import lines_of
    from chtexp.store import RunFolder

    runs = _runs_folder(parsed.overrides, parsed.config_dir)
    folders = RunFolder.every(runs)
    states = {folder: folder.state() for folder in folders}
    if parsed.failed:
        failed = [folder for folder in folders if states[folder] == "failed"]
        for folder in failed:
            error = folder.read_error() or {}
            print(
                f"{folder.path}\n  reason: {error.get('reason')} (step {error.get('step')})\n  go on: {folder.last_command()}"
            )
        print(f"{len(failed)} failed of {len(folders)} runs in {runs}")
        return 0
    rows = []
    for folder in folders:
        try:
            result, last = folder.read_result(), folder.last_evaluation()
            best = f"{result['metric']} {result['reported']:.2f}" if result and result["reported"] is not None else ""
        except (UserError, KeyError) as error:
            last, best = {}, f"unreadable: {error}"
        rows.append([folder.path.parent.name, folder.path.name, states[folder], last.get("step", ""), best])
    print(lines_of(rows, ["run", "seed", "state", "step", "best"]))
    print(f"{len(folders)} runs in {runs}")
    return 0


def _runs_folder(overrides: Sequence[str], config_dir: Path | None) -> Path:
    from chtexp.compose import compose_run

    return compose_run(overrides, config_dir).paths.runs


# ---------------------------------------------------------------------- data


def prepare(parsed: argparse.Namespace) -> int:
    """Download and check a data set."""
    from chtexp.compose import compose_run
    from chtexp.data import prepare_images

    if not any(word.startswith("data=") for word in parsed.overrides):
        raise UserError("say which data set: chtexp prepare data=mnist")
    _check_config_dir(parsed.config_dir)
    run = compose_run(parsed.overrides, parsed.config_dir)
    prepare_images(run.data.name, run.paths.data)
    return 0


# ---------------------------------------------------------------------- measurements


def bench(parsed: argparse.Namespace) -> int:
    """One benchmark, measured here and now."""
    from chtexp.bench import check_output, run_benchmark

    for path in parsed.output:
        check_output(path)  # before minutes of measuring
    outcome = run_benchmark(parsed.what, parsed.settings)
    print(outcome.json() if parsed.json else outcome.text())
    for path in parsed.output:
        outcome.write(path)
    return 0


if __name__ == "__main__":
    main()
