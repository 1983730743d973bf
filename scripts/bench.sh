#!/usr/bin/env bash
# Measure everything anew into results/bench: an hour on an idle machine. CHTEXP_DATA must hold MNIST, and Multi30k and webmix prepared.
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
"$chtexp" bench run data=webmix model=llama_nano method=llama/chtss method.sparsity=0.9 hardware.threads=2 seconds=40 --output "$to/run-llama_nano.json" \
    --output "$to/run-llama_nano.md"
"$chtexp" bench run data=webmix model=llama_60m method=llama/chts hardware.threads=2 task.batch=4 task.at_once=4 parts=start,updates updates=3 \
    --output "$to/run-llama_60m.json" --output "$to/run-llama_60m.md"
"$chtexp" bench run data=webmix model=llama_1b method=llama/chts method.sparsity=0.7 hardware.threads=2 parts=start \
    --output "$to/run-llama_1b.json" --output "$to/run-llama_1b.md"
"$chtexp" bench linkpred "figure=$to/figure2.png" --output "$to/linkpred.json" --output "$to/linkpred.md"
