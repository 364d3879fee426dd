#!/usr/bin/env bash
# Installs the tools that the checks need, where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

have() { cargo "$1" --version >/dev/null 2>&1; }

have deny || cargo install --locked cargo-deny --version 0.20.2
have hack || cargo install --locked cargo-hack --version 0.6.46
have check-external-types || cargo install --locked cargo-check-external-types --version 0.5.0

scripts/packages.sh
