"""A copy of the code as it is now, for jobs that start later: what is edited meanwhile does not change them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import chtexp
from chtexp.config.resources import conf_dir
from chtexp.run.environment import PROVENANCE, provenance


def snapshot(below: Path) -> Path:
    """Copy package and configuration as they are now, if no copy of the same code is there.

    Args:
        below: the folder of copies. Equal code has one folder in it, named by its digest: kernels in it are compiled once.

    Returns:
        The folder of the copy, to go first on the Python path.
    """
    package = Path(chtexp.__file__).parent
    origin = provenance()
    digest = hashlib.sha256(json.dumps(origin, sort_keys=True).encode())
    for root in (package, conf_dir()):
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    target = below / digest.hexdigest()[:16]
    if target.exists():
        return target
    below.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=below, prefix=".part-"))
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, unfinished / "chtexp", ignore=skipped)
    if not (unfinished / "chtexp" / "conf").exists():
        shutil.copytree(conf_dir(), unfinished / "conf", ignore=skipped)
    (unfinished / PROVENANCE).write_text(json.dumps(origin))
    unfinished.chmod(0o755)
    try:
        unfinished.rename(target)
    except OSError:  # another sweep was faster
        shutil.rmtree(unfinished)
    return target
