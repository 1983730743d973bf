"""The pages in docs/ are true: what is marked `sh run` runs, in the order of the page, with the files that the page shows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chtexp.config.compose import compose_run
from chtexp.config.schedules import SCHEDULES
from chtexp.sparse import method_names
from chtexp.sparse.criteria import CRITERIA
from chtexp.sparse.growth import GROWTH
from chtexp.topology import topology_names

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
PROGRAMS = {"chtexp": [sys.executable, "-m", "chtexp"], "python": [sys.executable]}


def blocks(page: str) -> list[tuple[str, str]]:
    """What stands behind the fences of a page's blocks (`sh run`, `yaml FILE`), and the blocks."""
    return re.findall(r"^```(\S+ \S+)\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def follow(page: str, folder: Path) -> list[str]:
    """Write the files of a page, run its commands, and return what each printed."""
    printed = []
    own = {"CHTEXP_RUNS": str(folder / "runs"), "CHTEXP_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **own}
    for mark, content in blocks(page):
        if mark != "sh run":
            path = folder / mark.partition(" ")[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            continue
        for command in content.splitlines():
            program, *arguments = shlex.split(command, comments=True)
            done = subprocess.run(
                [*PROGRAMS[program], *arguments],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, command + "\n" + done.stdout + done.stderr
            printed.append(done.stdout)
    return printed


@pytest.mark.parametrize("page", [page for page in PAGES if page != "your-own-method.md"])
def test_the_commands_of_a_page_run(page: str, tmp_path: Path) -> None:
    assert all(follow(page, tmp_path))


SHOWN = re.compile(r"^    (chtexp .*)$", re.MULTILINE)  # a command as a person copies it
SMALLER = {  # what makes it one of seconds
    r"budget=cpu": "budget=smoke",
    r"-cpu-\.\.\./": "-smoke-*/",
    r"^chtexp sweep table7 data=mnist( budget=smoke)?$": "chtexp sweep table7 data=mnist budget=smoke seed=0",
    r"campaign results/campaign\.yaml .*": f"campaign {DOCS.parent}/results/campaign.yaml --dry-run",
    r"^(chtexp zeroshot .*)": r"\1 --limit 20",
    r"row=FC,CHTss": "row=CHTss",  # an untrained dense network translates for minutes
    r"hardware=ddp$": "hardware=ddp budget=smoke",
    r"^(chtexp train data=cifar10 model=.*)": r"\1 budget=smoke model.width=8",
    r"model=llama_nano": "model=llama_nano task.steps=400 task.evaluations=1 budget.test_limit=100",
    r"(hardware=ddp_gpu .*)": r"\1 --dry-run",
}
WITHOUT_SLURM = {r" --detach": " --dry-run", r"chtexp status --watch": "chtexp status"}
BY_SLURM = {
    r"launcher\.partition=PARTITION launcher\.cpus=2": "launcher.memory=null launcher.cpus=1 budget=smoke seed=0"
}
ALONE = ("chtexp bench ",)  # each has tests of its own


def shown(page: str) -> list[str]:
    """The commands of a page, made smaller, one after the other; those of the page on clusters go to a real Slurm."""
    changes = SMALLER | (BY_SLURM if page == "clusters.md" else WITHOUT_SLURM)
    commands = []
    for line in SHOWN.findall((DOCS / page).read_text()):
        command = line.partition("  #")[0].strip()
        for before, after in changes.items():
            command = re.sub(before, after, command)
        commands += [part for part in command.split(" && ") if not part.startswith(ALONE)]
    return commands


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "page",
    [
        "../README.md",
        pytest.param("clusters.md", marks=pytest.mark.timing),  # Slurm gives out all cores, by the clock
        "images.md",
        "language-modelling.md",
        "translation.md",
    ],
)
def test_every_command_that_a_page_shows_does_what_it_says(page: str, tmp_path: Path) -> None:
    """At the smallest budget, in the order of the page, in one folder, on real data."""
    if "CHTEXP_DATA" not in os.environ:
        pytest.skip("CHTEXP_DATA names no folder of data")
    if page == "clusters.md" and not (answers := shutil.which("sinfo") and not subprocess.call(["sinfo"])):
        assert answers or not os.environ.get("CHTEXP_REQUIRE_SLURM"), "no Slurm answers here"
        pytest.skip("no Slurm answers here; scripts/local_slurm.sh starts one (Debian, root)")
    data = Path(os.environ["CHTEXP_DATA"]).resolve()
    environment = {
        **os.environ,
        "CHTEXP_DATA": str(data),
        "CHTEXP_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "2",
    }
    commands = shown(page)
    assert commands
    for command in commands:
        _, *words = shlex.split(command)
        arguments = [str(next(tmp_path.glob(word))) if "*" in word else word for word in words]
        done = subprocess.run(
            [*PROGRAMS["chtexp"], *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, command + "\n" + done.stdout[-3000:] + done.stderr[-3000:]
        assert "Traceback" not in done.stdout + done.stderr


def test_the_worked_example_of_a_method_a_model_a_data_set_and_a_task_of_ones_own(tmp_path: Path) -> None:
    checked, swept, table, *trained = follow("your-own-method.md", tmp_path)
    assert "preferential keeps what every method promises" in checked
    assert "9 of 9 runs done" in swept
    for row in ("SET", "Preferential"):
        (line,) = [line for line in table.splitlines() if f"| {row} " in line and "±" in line]
        assert re.search(r"\d\d\.\d\d ± \d+\.\d\d", line)
    assert re.search(r"Preferential above SET .*(holds|fails)", table)
    assert len(trained) == 4
    assert all("done: accuracy" in said for said in trained)


def test_the_lines_that_are_counted_are_those_of_the_example() -> None:
    """docs/your-own-method.md counts files and lines; blank lines and docstrings do not count."""
    lines = {
        mark.partition(" ")[2]: len(
            [line for line in re.sub(r'""".*?"""', "", text, flags=re.DOTALL).splitlines() if line.strip()]
        )
        for mark, text in blocks("your-own-method.md")
        if mark != "sh run"
    }
    page = (DOCS / "your-own-method.md").read_text()
    for row, files in {
        "method of known rules": ["my_conf/method/preferential.yaml"],
        "rule, with a method": ["mine.py", "my_conf/method/preferential.yaml"],
        "data set by code": ["rows.py", "my_conf/data/bright_rows.yaml"],
        "model": ["net.py", "my_conf/model/small_cnn.yaml"],
        "task": ["smooth.py", "my_conf/task/smoothed.yaml"],
        "sweep of a table": ["my_conf/paper/mine.yaml"],
    }.items():
        (counted,) = re.findall(rf"^\| {row} \| {len(files)} \| (.*) \|$", page, re.MULTILINE)
        own = (
            lines["my_conf/method/preferential.yaml"] - 3 if row == "method of known rules" else None
        )  # without the rule
        assert counted == (str(own) if own else " + ".join(str(lines[file]) for file in files)), row


def test_every_rule_and_method_is_described() -> None:
    text = (DOCS / "methods.md").read_text()
    rules = [*topology_names(), *CRITERIA, "random", *GROWTH, *SCHEDULES]
    methods = [name for name in method_names() if "/" not in name]
    assert [name for name in [*rules, *methods] if f"`{name}`" not in text] == []


def differences() -> list[list[str]]:
    """The rows of the table of docs/fidelity.md, as cells; those that begin a part left out."""
    lines = [line for line in (DOCS / "fidelity.md").read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return [row for row in rows if not row[0].startswith("**")]


READINGS = [reading for row in differences() for reading in re.findall(r"`([^`]*=[^`]*)`", row[-1])]


def test_every_difference_names_its_other_reading_or_that_there_is_none() -> None:
    assert len(READINGS) > 30
    for row in differences():
        assert len(row) == 6, row[0]
        assert all(row), row[0]
        assert row[-1] == "–" or "not built" in row[-1] or "=" in row[-1], row[0]


@pytest.mark.parametrize("reading", READINGS)
def test_every_other_reading_is_another_run(reading: str) -> None:
    words = reading.split()
    chosen = [word for word in words if word.startswith(("data=", "method=", "model="))]
    assert compose_run(words).id != compose_run(chosen).id


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (DOCS / page).read_text()):
        assert (DOCS / target).exists(), target
