#!/usr/bin/env bash
# Every test: the workspace's, and the model-checked ones of the lock-free parts.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --workspace --all-features

# Loom explores every interleaving of the vote and permit protocols. It needs its own build.
for crate in seawall-breaker seawall-bulkhead; do
    RUSTFLAGS='--cfg seawall_loom' CARGO_TARGET_DIR=target/loom \
        cargo test --release -p "$crate" --lib loom
done
