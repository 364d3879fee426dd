#!/usr/bin/env bash
# Every test: the workspace's, and the model-checked ones of the lock-free parts.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --workspace --all-features

# Loom explores every interleaving of votes, permits and windows. It needs a build of its own.
loom() {
    RUSTFLAGS='--cfg seawall_loom' CARGO_TARGET_DIR=target/loom cargo test --release "$@"
}
loom -p seawall-core --test loom
loom -p seawall-breaker --lib loom
loom -p seawall-bulkhead --test loom
loom -p seawall-ratelimit --test loom
loom -p seawall-health --test loom
loom -p seawall-ai --test loom
