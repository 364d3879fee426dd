#!/usr/bin/env bash
# Installs the tools that the checks need, where they are missing.
set -euo pipefail

have() { cargo "$1" --version >/dev/null 2>&1; }

have deny || cargo install --locked cargo-deny --version 0.20.2
have hack || cargo install --locked cargo-hack --version 0.6.46
have check-external-types || cargo install --locked cargo-check-external-types --version 0.5.0

# Not a cargo tool: counts instructions for scripts/callgrind.py.
if ! command -v valgrind >/dev/null; then
    as_root=$([ "$(id -u)" -eq 0 ] || echo sudo)
    $as_root apt-get install --quiet --yes valgrind
fi

# Prometheus and Alertmanager: scripts/ops.sh checks `ops/` with them, a test runs them. Debian would start
# them as services.
if ! command -v promtool >/dev/null || ! command -v amtool >/dev/null; then
    as_root=$([ "$(id -u)" -eq 0 ] || echo sudo)
    policy=/usr/sbin/policy-rc.d
    if ! [ -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod +x "$policy"
        trap '$as_root rm -f "$policy"' EXIT
    fi
    $as_root apt-get install --quiet --yes --no-install-recommends prometheus prometheus-alertmanager
    # Nor when the machine starts.
    $as_root systemctl disable --quiet prometheus prometheus-alertmanager 2>/dev/null || true
fi

# The browser of scripts/dashboard_test.sh. What the dashboard is built with and driven by comes from npm, as
# dashboard/package-lock.json says.
if ! command -v "${CHROMIUM:-chromium}" >/dev/null; then
    as_root=$([ "$(id -u)" -eq 0 ] || echo sudo)
    $as_root apt-get update --quiet
    $as_root apt-get install --quiet --yes --no-install-recommends chromium
fi
