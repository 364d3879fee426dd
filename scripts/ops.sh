#!/usr/bin/env bash
# Checks `ops/` with the programs that read it: rules and their tests, the example configurations.
# `scripts/packages.sh` installs them. That metrics and labels exist is a test: tests/tests/ops_files.rs; a
# Prometheus that scrapes a program is another one: tests/tests/ops_scrape.rs.
set -euo pipefail
cd "$(dirname "$0")/.."

promtool check rules ops/prometheus/seawall.rules.yml
(cd ops/prometheus && promtool test rules seawall.test.yml)

# The example names a file with a token, which is not here.
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cp ops/prometheus/*.yml "$directory"
: >"$directory/seawall.token"
promtool check config "$directory/prometheus.yml"
amtool check-config ops/alertmanager/alertmanager.yml
scripts/dashboards.py --check
echo 'ops: ok'
