#!/usr/bin/env bash
# Runs every example and checks what each prints: patterns, one line each, in any order. An example
# that is not listed here fails. The programs for the first hour are short: fewer than 40 lines
# without imports and comments.
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

checked=
# Where the next examples were built.
target=${CARGO_TARGET_DIR:-$PWD/target}
built=$target/debug/examples
check() {
    local name=${1%% *} output pattern
    local -a arguments
    read -ra arguments <<<"${1#"$name"}"
    shift
    checked+=" $name"
    if ! output=$(timeout 300 "$built/$name" "${arguments[@]}" 2>&1); then
        complain "$name failed:" "$output"
        return
    fi
    for pattern in "$@"; do
        grep -qE -- "$pattern" <<<"$output" || complain "$name printed no /$pattern/:" "$output"
    done
}

# As `cargo test --workspace --all-features` builds them: another choice of packages or features would build all that
# they depend on once more.
cargo build --quiet --workspace --all-features --examples

check ai_api '^\(after 2 attempts\)$' '^\(streaming, permits in use: 1\)$' \
    '^\(ended, permits in use: 0\)$'
check ai_streams '^throttled: 2 attempts, [0-9]+ pieces: ended well$' \
    '^cut off: 1 attempts?, [0-9]+ pieces: stream `openai`: the connection broke off .* contents came before$'
check ai_spend '^question 1: reserved \$0.[0-9]+ and then spent \$0.[0-9]+ of \$0.03; ' \
    '^question [3-9]: spend budget .research.: the quota is used up; .*nothing was sent$'
check ai_routes '^small \(tried key-[12], key-3\)$' '^small$' '^0 requests over a limit$'
check degraded '^ 10 s  SPY +100.05 +\[failure;age=5;source=last_good\]$' \
    '^ 40 s  SPY +100.30 +\[circuit_open;source=vendor2\]$' '^ 40 s  opinion +HOLD +\[failure;source=hold\]$' \
    '^ 20 s  order +529 Overloaded$' '^ 60 s  SPY +100.60$'
check broker '^positions: 200 OK after [2-9] attempts$' '^the broker executed it 1 time' \
    'the circuit is open'
check services '^orders: alpaca, 4 attempts$' '^quotes: alpha-vantage, 2 attempts$' '^IBM: 200 OK$'
check reload '^IBM: 200 OK$' '^5: 5 permits, as the file says$' '^"many": 5 permits, is "many", accepted is ' \
    '^7: 7 permits, as the file says$' '^calls counted since the start: 1$'
check monitor '^ +[0-9]+ s: can I trade\? no: alpaca: the circuit is open' '^ +warning: BreakerOpened ' \
    '^ +critical: BreakerOpenLong ' '^ +resolved: BreakerOpenLong ' '^1[0-9][0-9] s: can I trade\? yes$'
check chaos '^nothing +0 +100 +0 +0 ' '^hangs +[1-9][0-9]* +100 +0 ' '^refused +[1-9][0-9]* +9[0-9] ' '^down +5 +0 +100 '
check market_data '^IBM: "[0-9.]+"$' '1 hidden throttles, 0 violations of the limit$'

first_hour=(reqwest_ai axum_api tonic_client own_enum database prometheus)
check reqwest_ai '^(BUY|SELL|HOLD) [a-z]'
check axum_api '^a 200 OK: 512\.25$' '^a 429 Too Many Requests: ' '^b 200 OK: 512\.25$' \
    '^b 200 OK: \{.*"status":"healthy".*\}$'
check tonic_client '^Serving$' '^NotFound: service not registered$' '^1 retry$'
check own_enum '^SPY: 512\.25$' '^none: UnknownSymbol$' '^down: Unavailable$' \
    '^SPY: circuit breaker `quotes`: the circuit is open .*nothing was sent$'
check database '^\["SPY", "QQQ"\]$' '^attempt timeout `database`: '
check health '^at first: healthy, score 100$' '^logged out: unhealthy, score ' '^  account: not logged in$' \
    '^  orders: not run while `account` is unhealthy$' '^log in, attempt 2$' '^subscribe again$' '^later: healthy, score '
check prometheus '^seawall_calls_total\{.*layer="breaker",outcome="success"\} 5$' \
    '^seawall_breaker_state\{service="vendor",name="quotes"\} 2$' \
    '^seawall_call_duration_seconds_bucket\{.*outcome="success",le="0\.001048576"\} 5$'
check opentelemetry '^5 calls, 6 attempts, 6 of them within a call$' '^sent again: \{"1"\}$' \
    '^seawall_call_duration_seconds: 5$' '^seawall_retry_retries_total: 1$' '^1?[0-9]{2} metrics$'

# Of the benches. They run in virtual time but for breaker_outage and config_speed, whose figures are not judged here.
check adaptive_limit '^seawall \(knee, the default\) +\| +(9[0-9]|10[0-9])% '
check breaker_outage '^  seawall, 5 failures in a row +[0-9]+ ms ' '^  no breaker, every call goes +- '
check config_speed '^50 services, ' '^load +least .* median ' '^build kraken +least '
check retry_storm '^  no retry +6000 ' '^  seawall +6[0-9]{3} '

# These compute much or meet real time. They are built together and for the default members, as a newcomer's
# `cargo run --release --example` builds each.
optimised=(strict_quota kept_quotes provider_limits ai_budget game_day fair_share trading_desk order_torture journal_speed)
cargo build --quiet --release "${optimised[@]/#/--example=}"
built=$target/release/examples
check strict_quota '^1/s +strict .* 0 100\.0 %$' '^5/min +bucket, burst = rate .* [1-9][0-9]* 100\.0 %$'
check kept_quotes '^  1 call, 999 joined it$' '^  SPY 100 \(failure;age=1;source=quotes\)$' '^  2 quotes are read$' \
    '^  QQQ [0-9]+$'
check provider_limits '^kite +standard +[0-9]+ calls, 0 violations, ' '^openai +tier-5 .* 0 violations'
check ai_budget '^openai-tier-1: ' '^ +1 +[0-9]+ +([0-9]+) +0 +0 '
check game_day '^held: quotes are late: ' '^refuted: an outage of the vendor: ' '^refused: an outage of the vendor: ' \
    'breaker, ' '^\| during \| no \|'
check fair_share '^NEWS +[0-9]+ ' '^SYM1 +([0-9]+) +\1 .* 0 +0 '
# The journal in a file, as its bars are measured, for a second each.
check "journal_speed ${TMPDIR:-/tmp} 1" '^100000 entries, 100 open, ' '^killed: opened in .*, 100 open ones listed in '

# The main job: its score is the last line.
checked+=' trading_desk'
cargo run --quiet --release --example trading_desk -- --seconds 6 --json | tail -n 1 | python3 -c '
import json, sys
score = json.load(sys.stdin)
for side in ("bare", "seawall"):
    assert score[side]["orders"]["intended"] > 0, f"{side} intended no orders"
assert score["seawall"]["orders"]["duplicates"] == 0
assert score["seawall"]["providers"]["limit_violations"] == 0
assert score["seawall"]["orders"]["lost"] == 0
assert score["seawall"]["orders"]["in_doubt"] == 0' || complain 'trading_desk failed'

# Through an outage quotes and opinions are answered all the same, marked and of an age that is bounded.
cargo run --quiet --release --example trading_desk -- --seconds 12 --json \
    --incidents examples/trading_desk/outage.toml | tail -n 1 | python3 -c '
import json, sys
kinds = json.load(sys.stdin)["seawall"]["calls"]["by_kind"]
for kind in ("quotes", "opinions"):
    counts = kinds[kind]
    assert counts["degraded"] > 0 and counts["failed"] + counts["rejected"] == 0, (kind, counts)
    assert counts["oldest_ms"] <= 10_000, (kind, counts)' || complain 'trading_desk failed in an outage'

# No order is duplicated, lost or left in doubt, and the run notices where one is.
checked+=' order_torture'
for seed in 1 2 3; do
    timeout 60 "$built/order_torture" \
        --orders 300 --seed "$seed" --json |
        tail -n 1 | python3 -c '
import json, sys
scores = json.load(sys.stdin)
assert set(scores) == {"seawall", "plain_retry", "no_retry", "tower_resilience"}, set(scores)
wrong = ("duplicated", "lost", "phantom", "in_doubt")
for name, score in scores.items():
    assert score["intended"] == 300 and score["kills"] > 0, (name, score)
    broken = sum(score[figure] for figure in wrong)
    assert (broken == 0) == (name == "seawall"), (name, score)
score = scores["seawall"]
assert score["executed_once"] + score["reported_not_executed"] == 300, score' ||
        complain "order_torture --seed $seed failed"
done

# Nor where its processes and those of the brokers stand still.
timeout 120 "$built/order_torture" \
    --orders 300 --seed 4 --contender seawall --standstills >/dev/null ||
    complain 'order_torture --standstills failed'

# A server for scripts/fuzz_api.sh, which runs it.
checked+=' fuzz_target'

for name in "${first_hour[@]}"; do
    lines=$(code_lines "examples/examples/$name.rs")
    [ "$lines" -lt 40 ] || complain "$name has $lines lines, expected fewer than 40"
done
for name in $(cargo metadata --no-deps --format-version 1 | python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    for target in package["targets"]:
        if "example" in target["kind"]:
            print(target["name"])'); do
    [[ " $checked " == *" $name "* ]] || complain "$name is not checked by scripts/examples.sh"
done

[ "$failed" -eq 0 ] && echo 'examples: ok'
exit "$failed"
