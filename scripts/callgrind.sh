#!/usr/bin/env bash
# Instructions per call of each subject of the bench, counted by callgrind:
#
#   scripts/callgrind.sh [FILTER]      FILTER as for the bench; default: seawall/
#
# Each subject runs twice, with fewer and with more calls, and the difference is what the
# additional calls cost; so starting up and setting up do not count. The counts hardly depend on
# what else the machine does: use them to see a change, and the bench to rank. Kernel and vDSO are
# not counted, so that a clock read is about 40 instructions here, whatever it takes.
set -euo pipefail
cd "$(dirname "$0")/.."

filter=${1-seawall/}
less=1000
more=3000

if ! command -v valgrind >/dev/null; then
    echo 'callgrind.sh: valgrind is not installed' >&2
    exit 2
fi
cargo build --quiet --release -p seawall-benches
bench=${CARGO_TARGET_DIR:-target}/release/seawall-benches

instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" --one "$1" --calls "$2" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

subjects=$("$bench" --list | grep -F -- "$filter" || true)
if [ -z "$subjects" ]; then
    echo "callgrind.sh: no subject's name contains '$filter'" >&2
    exit 2
fi
printf '%-48s %s\n' subject 'instructions per call'
for subject in $subjects; do
    few=$(instructions "$subject" "$less")
    many=$(instructions "$subject" "$more")
    if [ -z "$few" ] || [ -z "$many" ]; then
        echo "callgrind.sh: $subject does not run under valgrind" >&2
        exit 1
    fi
    awk -v name="$subject" -v few="$few" -v many="$many" -v calls=$((more - less)) \
        'BEGIN { printf "%-48s %.1f\n", name, (many - few) / calls }'
done
