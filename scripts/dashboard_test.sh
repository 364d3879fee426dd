#!/usr/bin/env bash
# Tests the dashboard in a real browser, Debian's Chromium: that its files are those of their sources, and what it
# shows and does, with a trading desk whose broker fails. Screenshots go to target/dashboard.
set -euo pipefail
cd "$(dirname "$0")/.."
export DASHBOARD_OUT=$PWD/target/dashboard

(cd dashboard && npm ci --no-audit --no-fund --silent)
for source in dashboard/src/*.js dashboard/test/*.mjs; do
    node --check "$source"
done
# Texts are set and never parsed, whatever they are.
if grep -nE 'innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|style:' dashboard/src/*.js; then
    echo 'the page parses or styles what it may not' >&2
    exit 1
fi
scripts/vendor_uplot.sh --check
scripts/dashboard_build.sh --check

profile=${PROFILE:-release}
cargo build --quiet --profile "$profile" --example trading_desk
[ "$profile" = dev ] && profile=debug
export TRADING_DESK=${CARGO_TARGET_DIR:-$PWD/target}/$profile/examples/trading_desk
mkdir -p "$DASHBOARD_OUT"
timeout 900 node --test --test-concurrency=1 --test-reporter=spec dashboard/test/*.test.mjs
echo 'dashboard: ok'
