#!/usr/bin/env bash
# From a fresh clone to a table: install, train every kind of method on the embedded digits, print the table.
# Usage: scripts/quickstart.sh [overrides], e.g. scripts/quickstart.sh seed=0
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
runs="${CHTEXP_RUNS:-runs}"
.venv/bin/chtexp sweep quickstart budget=cpu paths.runs="$runs" hardware.threads=1 "$@"
echo
.venv/bin/chtexp table quickstart budget=cpu paths.runs="$runs" hardware.threads=1 "$@"
echo
echo "Results: $runs/digits-*/seed-*/ (config.yaml, metrics.jsonl, result.json, log.txt)"
echo "Next:    .venv/bin/chtexp train --help"
