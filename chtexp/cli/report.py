"""chtexp report: everything that the results say, as one HTML file, or on a page of this machine that is always up to date."""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chtexp import __version__
from chtexp.cli.common import add_config_dir, add_results, check_config_dir, conditions, said_if_slow
from chtexp.cli.report_figures import figures
from chtexp.config.compose import compose_run
from chtexp.config.resources import conf_folders
from chtexp.errors import UserError, unknown
from chtexp.paper.grid import grid_names, load_grid, select
from chtexp.paper.results import Results
from chtexp.paper.tables import Finished, finished_tables
from chtexp.report.page import (
    Page,
    RunPart,
    TablePart,
    Typed,
    collected_run,
    render_page,
    run_of_folder,
    summary_markdown,
)
from chtexp.store import RunFolder
from chtexp.store.collection import Collection, merged, read_collection

ALLOWED = ("budget", "seed", "paths.runs")
DEFAULT_PORT = 8357


EXAMPLE = "chtexp report --results results/multi30k-cpu.jsonl"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    how = sub.add_mutually_exclusive_group()
    how.add_argument(
        "--output",
        type=Path,
        default=Path("report.html"),
        help="*.html, or *.md for the summary alone (default: %(default)s)",
    )
    how.add_argument(
        "--serve",
        nargs="?",
        const=DEFAULT_PORT,
        metavar="PORT",
        help=f"show it on this machine alone, made anew at each load, until Ctrl-C (default port: {DEFAULT_PORT}; 0: any)",
    )
    add_results(sub)
    sub.add_argument(
        "overrides", nargs="*", default=[], metavar="KEY=VALUE", help="budget=cpu, seed=0,1, paths.runs=FOLDER"
    )
    add_config_dir(sub)


def run(parsed: argparse.Namespace) -> int:
    """Write the page, or serve it."""
    check_config_dir(parsed.config_dir)
    _check_overrides(parsed.overrides)
    if parsed.serve is not None:
        from chtexp.cli.serving import port_of, serve

        return serve(lambda: _html(parsed), port_of(parsed.serve))
    if parsed.output.suffix not in FORMATS:
        raise unknown("suffix of a report", parsed.output.suffix, FORMATS)
    began = time.monotonic()
    with said_if_slow("reading results, and making every table and figure"), _without_collecting():
        text = FORMATS[parsed.output.suffix](parsed)
    parsed.output.parent.mkdir(parents=True, exist_ok=True)
    parsed.output.write_text(text, encoding="utf-8")
    size = parsed.output.stat().st_size / 1e6
    print(f"written: {parsed.output} ({size:.1f} MB, {time.monotonic() - began:.0f} s)")
    return 0


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Look for no cycles meanwhile: that takes a fifth of the time, and what a page leaves is gone with the process."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _check_overrides(overrides: Sequence[str]) -> None:
    """Only what means the same to every table: what changes runs belongs to one."""
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not equals or key not in ALLOWED:
            raise UserError(
                f"'{override}' is nothing that a report of all tables takes; it takes {', '.join(f'{key}=' for key in ALLOWED)}; "
                "chtexp table NAME takes others"
            )


def _html(parsed: argparse.Namespace) -> str:
    runs, collected = _places(parsed)
    results = [word for path in parsed.results for word in ("--results", str(path))]
    typed = Typed(
        overrides=tuple(parsed.overrides),
        results=(*results, *(["--keep-first"] if parsed.accept else [])),
        config=() if parsed.config_dir is None else ("--config-dir", str(parsed.config_dir)),
    )
    found = _tables(parsed, runs, collected)
    return render_page(
        Page(
            made=time.strftime("%Y-%m-%d %H:%M"),
            version=__version__,
            runs_from=(str(runs), *map(str, parsed.results)),
            tables=_parts(found),
            figures=figures(found, typed, parsed.config_dir, runs),
            runs=_runs(runs, collected),
            typed=typed,
        )
    )


def _markdown(parsed: argparse.Namespace) -> str:
    return summary_markdown(_parts(_tables(parsed, *_places(parsed))))


FORMATS = {".html": _html, ".md": _markdown}


def _places(parsed: argparse.Namespace) -> tuple[Path, dict[Path, Collection]]:
    """The folder of runs, and the collected results."""
    runs = compose_run([o for o in parsed.overrides if not o.startswith("seed=")], parsed.config_dir).paths.runs
    return runs, {path: read_collection(path) for path in parsed.results}


def _parts(found: dict[str, Finished | UserError]) -> list[TablePart]:
    return [
        TablePart(name, None, str(made)) if isinstance(made, UserError) else TablePart(name, made[0])
        for name, made in found.items()
    ]


def _tables(
    parsed: argparse.Namespace, runs: Path, collected: dict[Path, Collection]
) -> dict[str, Finished | UserError]:
    """Every table there is, in the order of their numbers."""
    more = merged({str(path): collection for path, collection in collected.items()}, parsed.accept)
    folders = conf_folders(parsed.config_dir)
    names = sorted(grid_names(folders), key=_place)
    grid = load_grid(names[0], folders)
    select(grid, parsed.overrides, folders)  # what is wrong with these is no table's own mistake
    results = Results(runs, more, parsed.accept)
    return finished_tables(names, parsed.overrides, parsed.config_dir, results)


def _place(name: str) -> tuple[int, int, str]:
    """table1, table2, ..., table10, figure2, ..., then others."""
    kind = name.rstrip("0123456789")
    numbered = kind in ("table", "figure") and kind != name
    return (("table", "figure").index(kind) if numbered else 2, int(name[len(kind) :]) if numbered else 0, name)


def _runs(runs: Path, collected: dict[Path, Collection]) -> list[RunPart]:
    """Those below the folder, then those that only files of collected results have."""
    folders = RunFolder.every(runs)
    shown = [run_of_folder(folder, state) for folder, state in zip(folders, conditions(folders), strict=True)]
    known = {(run.id, run.seed) for run in shown}
    for path, collection in collected.items():
        for (identity, seed), result in collection.items():
            if (identity, str(seed)) not in known:
                known.add((identity, str(seed)))
                shown.append(collected_run(result, path))
    return shown
