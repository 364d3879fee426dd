#!/usr/bin/env bash
# Builds with the lowest versions that our manifests accept, so that they promise nothing untrue.
#
# In a copy of the tree, since it changes the lock file. Resolving for the lowest versions is a
# feature of nightly cargo, which the stable one has when it is asked to.
set -euo pipefail
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 tar -cf - --ignore-failed-read 2>/dev/null |
    tar -xf - -C "$copy"
cd "$copy"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$OLDPWD/target}/minimal-versions"
RUSTC_BOOTSTRAP=1 cargo update --quiet -Z direct-minimal-versions
cargo check --workspace --lib --all-features \
    --exclude seawall-benches --exclude seawall-tests --exclude seawall-examples
