#!/usr/bin/env bash
# The subjects of commits: at most 60 characters, the crate first, no full stop.
set -euo pipefail
cd "$(dirname "$0")/.."
first=04cedb6
range=HEAD
git cat-file -e "$first" 2>/dev/null && range="$first..HEAD"
found=$(git log --no-merges --format=%s "$range" |
    awk 'length > 60 || !/^[a-z][a-z, ]*: / || /\.$/ { print length ": " $0 }')
if [ -n "$found" ]; then
    printf 'subjects longer than 60 characters, without a crate, or with a full stop:\n%s\n' "$found" >&2
    exit 1
fi
echo 'commit subjects: ok'
