#!/usr/bin/env bash
# Create or reuse .venv and install chtexp into it. Usage: scripts/setup.sh [extras], e.g. scripts/setup.sh dev
# PYTHON=... chooses the interpreter (3.11 to 3.13).
set -euo pipefail
cd "$(dirname "$0")/.."
extras="${1:-}"

fits() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; }

if [ ! -x .venv/bin/python ] || ! fits .venv/bin/python; then
    for python in ${PYTHON:-} python3.11 python3.12 python3.13 python3 python; do
        if fits "$python"; then
            "$python" -m venv --clear .venv
            break
        fi
    done
    [ -x .venv/bin/python ] || { echo "setup: no Python 3.11 to 3.13 with venv found; set PYTHON=/path/to/python" >&2; exit 2; }
fi

# Installed once for every state of pyproject.toml; the tree itself is installed in place.
stamp=".venv/.installed-${extras:-plain}-$(cksum <pyproject.toml | tr ' ' '-')"
if [ ! -e "$stamp" ]; then
    echo "setup: installing into .venv (torch is large: a few minutes the first time)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".${extras:+[$extras]}"
    touch "$stamp"
fi
