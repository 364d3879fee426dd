#!/usr/bin/env bash
# Every test: the workspace's, the model-checked ones of the lock-free parts, and those of the dashboard in a
# browser. Installs what they need of Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/packages.sh
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
loom -p seawall-cache --test loom

scripts/dashboard_test.sh
