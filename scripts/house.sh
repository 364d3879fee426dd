#!/usr/bin/env bash
# Rules of this repository that no lint knows.
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
for manifest in crates/seawall-{breaker,retry,ratelimit,throttle,bulkhead,timeout,health,hedge,telemetry,chaos}/Cargo.toml; do
    found=$(sed '/^\[dev-dependencies/,/^\[/d' "$manifest" |
        grep -nE '^(seawall-(breaker|retry|ratelimit|throttle|bulkhead|adaptive|timeout|health|hedge|telemetry|chaos|http)|http|axum|hyper|serde)\b' |
        grep -vE 'serde = (\[|.*optional = true)' || true)
    [ -z "$found" ] || complain "$manifest depends on more than the core:" "$found"
done
# But for the adaptive limit, which is an algorithm of the bulkhead.
found=$(sed '/^\[dev-dependencies/,/^\[/d' crates/seawall-adaptive/Cargo.toml |
    grep -nE '^(seawall-(breaker|retry|ratelimit|throttle|timeout|health|hedge|http)|http|axum|hyper|serde)\b' |
    grep -vE 'serde = (\[|.*optional = true)' || true)
[ -z "$found" ] || complain 'seawall-adaptive depends on more than the core and the bulkhead:' "$found"

# Every pattern crate has its parts in files of these names.
for part in config handle layer state; do
    for src in crates/seawall-{adaptive,breaker,bulkhead,chaos,health,hedge,ratelimit,retry,telemetry,throttle,timeout}/src; do
        [ -n "$(find "$src" -name "$part.rs")" ] || complain 'a part of the pattern is elsewhere:' "$src has no $part.rs"
    done
done

# A public enum or a struct of public fields may grow, or says why not.
found=$(scripts/exhaustive.py)
[ -z "$found" ] || complain 'neither `#[non_exhaustive]` nor `// Exhaustive: why`:' "$found"

# Words that the vocabulary has replaced, in names as in prose. One provider has paths with such a
# word, and its file and the page of the providers name them.
words=$(grep -vE '^(#|$)' scripts/words.txt | sed 's/ /[ _]/g' | paste -sd '|')
found=$(git grep -nIiE "(^|[^[:alpha:]])($words)([^[:alpha:]]|$)" -- '*.rs' '*.md' '*.toml' '*.sh' '*.py' .ci \
    ':!docs/vocabulary.md' ':!CHANGELOG.md' ':!docs/providers.md' ':!crates/seawall/catalog/kraken.toml' || true)
[ -z "$found" ] || complain 'words that docs/vocabulary.md replaces:' "$found"

# The list and the table have the same words, but for those that the table excuses.
found=$(python3 - <<'PYTHON'
import pathlib, re

table = pathlib.Path("docs/vocabulary.md").read_text().partition("## Words that are not used")[2]
lines = pathlib.Path("scripts/words.txt").read_text().splitlines()
unused = {line for line in lines if line and not line.startswith("#")}
listed = re.compile("|".join(unused), re.IGNORECASE)
matched = set()
for row in re.findall(r"^\| (.*) \|$", table, re.MULTILINE)[1:]:
    words, _, excuse = (cell.strip() for cell in f"{row} ".split("|"))
    for word in re.sub(r" \(.*?\)", "", words).split(", "):
        matched |= {line for line in unused if re.fullmatch(line, word)}
        if bool(listed.fullmatch(word)) == bool(excuse):
            print(f"`{word}`: the table {'excuses it' if excuse else 'has it'}, the list",
                  "has it" if excuse else "has not")
for line in sorted(unused - matched):
    print(f"`{line}`: the list has it, the table has not")
PYTHON
)
[ -z "$found" ] || complain 'scripts/words.txt and the last table of docs/vocabulary.md disagree:' "$found"

# The words of a name in camel case.
capital=$(grep -E '^[a-z?()|]+$' scripts/words.txt | sed -E 's/^(.)/\U\1/' | paste -sd '|')
found=$(git grep -nE "[a-z]($capital)([A-Z_(){}<>:,; ]|$)|\b($capital)[A-Z]" -- '*.rs' || true)
[ -z "$found" ] || complain 'names of such words:' "$found"

# Every word by which a command is emitted has a row in the test of commands.
found=$(comm -23 \
    <(git grep -hoP '^(?!\s*//).*commanded\([^")]*"\K[a-z_]+' -- 'crates/*/src/*.rs' | sort -u) \
    <(grep -oP 'Some\("\K[a-z_]+' tests/tests/command_events.rs | sort -u))
[ -z "$found" ] || complain 'commands without a row in tests/tests/command_events.rs:' "$found"

[ "$failed" -eq 0 ] && echo 'house rules: ok'
exit "$failed"
