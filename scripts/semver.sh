#!/usr/bin/env bash
# No breaking change without a new major (before 1.0: minor) version, against the last release.
#
# A release is a tag `v*`. Before the first one there is nothing to compare with.
set -euo pipefail
cd "$(dirname "$0")/.."
last=$(git tag --list 'v*' --sort=-version:refname | head -n 1)
if [ -z "$last" ]; then
    echo 'semver: skipped, nothing is released yet'
    exit 0
fi
cargo semver-checks --version >/dev/null 2>&1 ||
    cargo install --locked cargo-semver-checks --version 0.51.0
cargo semver-checks --workspace --baseline-rev "$last" \
    --exclude seawall-benches --exclude seawall-tests --exclude seawall-examples --exclude seawall-sim
