#!/usr/bin/env bash
# Measure everything anew into results/bench: half an hour on an idle machine. CHTEXP_DATA must hold MNIST and the prepared Multi30k.
set -euo pipefail
cd "$(dirname "$0")/.."
chtexp=.venv/bin/chtexp
to=results/bench

"$chtexp" bench step seconds=8 --output "$to/step.json" --output "$to/step.md"
"$chtexp" bench epoch data=mnist method=chts_n --output "$to/epoch.json" --output "$to/epoch.md"
"$chtexp" bench update methods=chts_n,chts_p,cht,set,rigl --output "$to/update.json" --output "$to/update.md"
"$chtexp" bench memory --output "$to/memory.json" --output "$to/memory.md"
"$chtexp" bench checkpoint --output "$to/checkpoint.json" --output "$to/checkpoint.md"
"$chtexp" bench run data=multi30k model=transformer_base method=transformer/chtss hardware.threads=2 seconds=100 rounds=5 updates=2 --output "$to/run-transformer_base.json" \
    --output "$to/run-transformer_base.md"
"$chtexp" bench linkpred "figure=$to/figure2.png" --output "$to/linkpred.json" --output "$to/linkpred.md"
