#!/usr/bin/env bash
# A chromium on this machine (Debian, as root), in which the tests look at the report: scripts/local_browser.sh
set -euo pipefail

command -v chromium >/dev/null && exit 0
[ "$(id -u)" = 0 ] || { echo "local_browser.sh: needs root to install chromium" >&2; exit 1; }
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
chromium --version
