"""What a shell completes: commands, flags, tables, axes, choices and runs; asked in the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chtexp.cli.completion import candidates
from chtexp.cli.main import COMMANDS
from chtexp.config.resources import axes


def test_commands_and_flags() -> None:
    assert candidates("chtexp ") == sorted([*COMMANDS, "--help", "--version"])
    assert candidates("chtexp st") == ["status"]
    assert candidates("chtexp status --f") == ["--failed"]
    assert candidates("chtexp train --c") == ["--cfg", "--config-dir"]
    assert candidates("chtexp nosuch ") == []


def test_tables_axes_and_choices() -> None:
    assert candidates("chtexp plan table1") == ["table1", *(f"table1{digit}" for digit in "0123456789")]
    assert candidates("chtexp plan table7 da") == ["data="]
    assert candidates("chtexp train data=m") == ["data=mnist", "data=multi30k"]
    assert candidates("chtexp sweep table7 method=chts_") == ["method=chts_n", "method=chts_p"]
    assert candidates("chtexp train method/topology=b") == [
        "method/topology=brf",
        "method/topology=bsf",
        "method/topology=bsw",
    ]
    assert "method=llama/chts" in candidates("chtexp train method=l")
    assert not [word for word in candidates("chtexp train method=") if "topology" in word]
    assert {f"{axis}=" for axis in axes()} <= set(candidates("chtexp train "))
    assert candidates("chtexp status ") == ["paths.runs="]
    assert candidates('chtexp train "data=m') == []


def test_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("webmix-chts-cpu-0123456789", "webmix-set-cpu-0123456780"):
        (tmp_path / "runs" / name / "seed-0").mkdir(parents=True)
    assert candidates("chtexp generate runs/webmix-c") == ["runs/webmix-chts-cpu-0123456789/seed-0"]


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        (
            "bash",
            'COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; compopt() {{ :; }}; _chtexp; printf "%s\\n" "${{COMPREPLY[@]}}"',
        ),
        ("zsh", 'LBUFFER="{line}"; compadd() {{ for name in "$@"; do print -l -- ${{(P)name}}; done }}; _chtexp'),
        ("fish", 'complete -C "{line}"'),
    ],
)
def test_the_shells_themselves(shell: str, script: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "chtexp").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m chtexp "$@"\n')
    (tmp_path / "chtexp").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    begin = {"bash": "", "zsh": "compdef() { :; }; ", "fish": ""}[shell]

    def completed(line: str) -> list[str]:
        code = f"{begin}chtexp completion {shell} > own; source own; {script.format(line=line)}"
        done = subprocess.run(
            [shell, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert "status" in completed("chtexp sta")
    wanted = ["mnist", "multi30k"] if shell == "bash" else ["data=mnist", "data=multi30k"]
    assert [word for word in completed("chtexp train data=m") if word in wanted] == wanted
