#!/usr/bin/env bash
# Fuzzes the admin API by its own description, with schemathesis: no answer of 500 or above, none that the
# description lacks, none that does not fit it. Bounded: scripts/fuzz_api.sh [EXAMPLES] (default 30 a route).
set -euo pipefail
cd "$(dirname "$0")/.."
examples=${1:-30}

venv=target/schemathesis
if ! [ -x "$venv/bin/schemathesis" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet schemathesis==4.32.5
fi
# As the tests build it, so that nothing is built twice.
cargo build --quiet --workspace --all-features --example fuzz_target
server=${CARGO_TARGET_DIR:-target}/debug/examples/fuzz_target
: >"$venv/address"
"$server" >"$venv/address" &
pid=$!
trap 'kill "$pid" 2>/dev/null' EXIT
for _ in $(seq 50); do
    address=$(cat "$venv/address")
    [ -n "$address" ] && break
    sleep 0.1
done
"$venv/bin/schemathesis" run "http://$address/api/v1/openapi.json" --header 'authorization: Bearer fuzz-token-of-the-admin' \
    --max-examples "$examples" --seed 1 --phases examples,coverage,fuzzing --suppress-health-check all \
    --exclude-path-regex '^/api/v1/(events|resilience/dashboard/stream)$' --exclude-checks unsupported_method,positive_data_acceptance --request-timeout 10
kill -0 "$pid" || { echo 'the server has ended' >&2; exit 1; }
echo 'admin API: ok'
