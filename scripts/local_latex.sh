#!/usr/bin/env bash
# A LaTeX on this machine (Debian, as root), with which the tests compile tables: scripts/local_latex.sh
set -euo pipefail

command -v pdflatex >/dev/null && exit 0
[ "$(id -u)" = 0 ] || { echo "local_latex.sh: needs root to install LaTeX" >&2; exit 1; }
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends texlive-latex-recommended >/dev/null
pdflatex --version | head -1
