#!/usr/bin/env bash
# Checks `ops/` with the programs that read it: rules and their tests, the example configurations.
# `scripts/packages.sh` installs them. That metrics and labels exist is a test: tests/tests/ops_files.rs; a
# Prometheus that scrapes a program and is asked each query of a dashboard is another one: tests/tests/ops_scrape.rs.
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

# Grafana is not among Debian's packages: so what it publishes of its types is what they are checked by.
venv=target/grafana
sdk=grafana-foundation-sdk==1769699379!11.6.0
if ! [ -e "$venv/$sdk" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "$sdk"
    : >"$venv/$sdk"
fi
"$venv/bin/python" scripts/dashboards_schema.py --self-test
"$venv/bin/python" scripts/dashboards_schema.py
echo 'ops: ok'
