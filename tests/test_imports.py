"""An import does nothing: it writes no file and reads no source, so it works where nothing can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import chtexp

PROGRAM = '''
import hashlib, importlib, os, pkgutil, sys, traceback

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "tempfile.mkdtemp"}

def ours():
    """Where in the package an import comes to this, but not to the import of what others wrote."""
    body = next(frame for frame, _ in traceback.walk_stack(None) if frame.f_code.co_name == "<module>")
    return f"{body.f_code.co_filename}:{body.f_lineno}" if body.f_code.co_filename.startswith(PACKAGE) else ""

def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        changes = bool(flags & WRITES) and path != os.devnull
    else:
        path, changes = arguments[:1], event in CHANGES
    if changes and (place := ours()):
        print("written:", event, path, place)

def watched(name, make):
    def hashed(*arguments, **options):
        if place := ours():
            print("hashed:", name, place)
        return make(*arguments, **options)
    return hashed

import chtexp
PACKAGE = os.path.dirname(chtexp.__file__)
for name in ("new", *hashlib.algorithms_guaranteed):
    if hasattr(hashlib, name):
        setattr(hashlib, name, watched(name, getattr(hashlib, name)))
sys.addaudithook(watch)
modules = [module.name for module in pkgutil.walk_packages(chtexp.__path__, "chtexp.") if module.name != "chtexp.__main__"]
for module in modules:
    importlib.import_module(module)
print(len(modules), "modules")
'''


def test_no_import_writes_or_hashes_anything(tmp_path: Path) -> None:
    nowhere = tmp_path / "a file where a folder should be"
    nowhere.write_text("")
    ran = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "NUMBA_"))},
            **dict.fromkeys(("HOME", "TMPDIR", "TMP", "TEMP", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(nowhere)),
            "PYTHONPATH": str(Path(chtexp.__file__).parents[1]),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    *done, modules = ran.stdout.splitlines()
    assert done == []
    assert int(modules.split()[0]) > 100
