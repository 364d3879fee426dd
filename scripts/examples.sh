#!/usr/bin/env bash
# Runs the small examples and checks what each prints: patterns, one line each, in any order.
# The programs for the first hour are short: fewer than 40 lines without imports and comments.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

complain() {
    printf '%s\n' "$@" >&2
    failed=1
}

# The lines of a program that are neither blank nor a comment nor an import.
code_lines() {
    awk '
        /^[[:space:]]*(\/\/.*)?$/ { next }
        /^use / { import = 1 }
        import { if (/;$/) import = 0; next }
        { lines++ }
        END { print lines + 0 }' "$1"
}

cargo build --quiet -p seawall-examples --examples
checked=
check() {
    local name=$1 output pattern
    shift
    checked+=" $name"
    if ! output=$(timeout 60 cargo run --quiet -p seawall-examples --example "$name" 2>&1); then
        complain "$name failed:" "$output"
        return
    fi
    for pattern in "$@"; do
        grep -qE -- "$pattern" <<<"$output" || complain "$name printed no /$pattern/:" "$output"
    done
}

check ai_api '^\(after 2 attempts\)$' '^\(streaming, permits in use: 1\)$' \
    '^\(ended, permits in use: 0\)$'
check broker '^positions: 200 OK after [2-9] attempts$' '^the broker executed it 1 time' \
    'the circuit is open'
check market_data '^IBM: "[0-9.]+"$' '1 hidden throttles, 0 violations of the limit$'

first_hour=(reqwest_ai axum_api tonic_client own_enum database prometheus)
check reqwest_ai '^(BUY|SELL|HOLD) [a-z]'
check axum_api '^a 200 OK: 512\.25$' '^a 429 Too Many Requests: ' '^b 200 OK: 512\.25$' \
    '^b 200 OK: \{.*"status":"healthy".*\}$'
check tonic_client '^Serving$' '^NotFound: service not registered$' '^1 retry$'
check own_enum '^SPY: 512\.25$' '^none: UnknownSymbol$' '^down: Unavailable$' \
    '^SPY: circuit breaker `quotes`: the circuit is open .*nothing was sent$'
check database '^\["SPY", "QQQ"\]$' '^attempt timeout `database`: '
check prometheus '^seawall_calls_total\{.*layer="breaker",outcome="success"\} 5$' \
    '^seawall_breaker_state\{service="vendor",name="quotes"\} 2$'

for name in "${first_hour[@]}"; do
    lines=$(code_lines "examples/examples/$name.rs")
    [ "$lines" -lt 40 ] || complain "$name has $lines lines, expected fewer than 40"
done
for file in examples/examples/*.rs; do
    name=$(basename "$file" .rs)
    [[ " $checked " == *" $name "* ]] || complain "$name is not checked by scripts/examples.sh"
done

[ "$failed" -eq 0 ] && echo 'examples: ok'
exit "$failed"
