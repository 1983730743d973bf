#!/usr/bin/env bash
# Every check: lint, format, types, import rules, tests. Usage: scripts/test.sh [fast], fast leaves out the slow tests.
# CHTEXP_DATA=... lets the tests on real data run; they are skipped, with a reason, without it.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
export PATH="$PWD/.venv/bin:$PATH"
ruff check .
ruff format --check .
mypy
lint-imports
pytest -m "not slow and not timing" -n auto --dist worksteal
pytest -m "timing and not slow"
if [ "${1:-}" != fast ]; then
    pytest -m "slow and not timing" -n auto --dist worksteal
    pytest -m "slow and timing"
fi
