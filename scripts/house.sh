#!/usr/bin/env bash
# Rules of the house that no lint knows.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

complain() {
    printf '%s\n%s\n' "$1" "$2" >&2
    failed=1
}

# The service that was polled ready is the one to call (a clone of it was never polled).
found=$(awk '
    /fn call\(&mut self/ { inside = 1; depth = 0 }
    inside {
        if ($0 ~ /self\.[a-z_]*(inner|service)[a-z_]*\.clone\(\)/) print FILENAME ":" FNR ": " $0
        depth += gsub(/\{/, "{") - gsub(/\}/, "}")
        if (depth <= 0 && $0 ~ /\}/) inside = 0
    }' $(git ls-files 'crates/*/src/*.rs'))
waived=$(printf '%s\n' "$found" | grep -vE 'clone: (waits, polled ready later|gives the reservation up)' | grep . || true)
[ -z "$waived" ] || complain 'a clone made in `call` was never polled ready:' "$waived"

# Time is paused in tests, never slept through.
found=$(git grep -nE 'thread::sleep\(' -- '*.rs' || true)
[ -z "$found" ] || complain 'wall-clock sleeps:' "$found"

# Patterns depend on the core alone, never on each other or on http.
for manifest in crates/seawall-{breaker,retry,ratelimit,throttle,bulkhead,timeout,health,hedge}/Cargo.toml; do
    found=$(sed '/^\[dev-dependencies/,/^\[/d' "$manifest" |
        grep -nE '^(seawall-(breaker|retry|ratelimit|throttle|bulkhead|timeout|health|hedge|http)|http|axum|hyper|serde)\b' || true)
    [ -z "$found" ] || complain "$manifest depends on more than the core:" "$found"
done

[ "$failed" -eq 0 ] && echo 'house rules: ok'
exit "$failed"
