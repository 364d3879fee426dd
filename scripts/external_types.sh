#!/usr/bin/env bash
# No type of another crate stands in a public signature unless external-types.toml names it.
#
# The tool reads rustdoc's JSON, which the stable toolchain writes only when it is asked to as if
# it were a nightly one.
set -euo pipefail
cd "$(dirname "$0")/.."
config=$PWD/external-types.toml
for manifest in crates/*/Cargo.toml; do
    grep -q '^publish = false' "$manifest" && continue
    echo "${manifest%/Cargo.toml}"
    RUSTC_BOOTSTRAP=1 cargo check-external-types --all-features --config "$config" \
        --manifest-path "$manifest" 2>&1 |
        { grep -vE "wasn.t referenced in public API|warnings emitted" || true; }
done
