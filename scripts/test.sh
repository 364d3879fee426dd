#!/usr/bin/env bash
# Every test: the workspace's, the model-checked ones of the lock-free parts, and those of the dashboard in a
# browser. Installs what they need of Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/packages.sh
cargo test --workspace --all-features

# Loom explores every interleaving of votes, permits and windows. It needs a build of its own, optimized since the
# models are many, and by many units of code since nothing is measured.
loom() {
    RUSTFLAGS='--cfg seawall_loom' CARGO_TARGET_DIR=target/loom CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_DEBUG=false cargo test --release "$@"
}
loom -p seawall-core -p seawall-bulkhead -p seawall-ratelimit -p seawall-health -p seawall-ai -p seawall-cache --test loom
loom -p seawall-breaker --lib loom

scripts/dashboard_test.sh
