#!/usr/bin/env bash
# Installs the Debian packages that the tests need, where they are missing: Prometheus and Alertmanager, which
# scrape and alert on a real program, Chromium, in which the dashboard is tested, and valgrind, which counts
# instructions. What the dashboard is driven by comes from npm, as dashboard/package-lock.json says.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need valgrind valgrind
need promtool prometheus
need amtool prometheus-alertmanager
need "${CHROMIUM:-chromium}" chromium
[ "${#missing[@]}" -gt 0 ] || exit 0

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# Debian would start servers as services.
policy=/usr/sbin/policy-rc.d
if ! [ -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
    trap 'as_root rm -f "$policy"' EXIT
fi
as_root apt-get update --quiet
as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
# Nor when the machine starts.
as_root systemctl disable --quiet prometheus prometheus-alertmanager 2>/dev/null || true
