#!/usr/bin/env bash
# What each published package holds: its manifest, README, both licences and sources, no more.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
for manifest in crates/*/Cargo.toml; do
    grep -q '^publish = false' "$manifest" && continue
    crate=$(basename "$(dirname "$manifest")")
    files=$(cargo package --list --allow-dirty --package "$crate")
    for needed in README.md LICENSE-MIT LICENSE-APACHE Cargo.toml src/lib.rs; do
        if ! grep -qx "$needed" <<<"$files"; then
            echo "$crate: the package lacks $needed" >&2
            failed=1
        fi
    done
    odd=$(grep -vE '^(src|tests|examples|benches|docs)/|^(README\.md|LICENSE-(MIT|APACHE)|Cargo\.(toml|toml\.orig|lock)|\.cargo_vcs_info\.json)$' <<<"$files" || true)
    if [ -n "$odd" ]; then
        printf '%s: the package should not hold\n%s\n' "$crate" "$odd" >&2
        failed=1
    fi
    for key in description keywords categories readme license rust-version documentation repository; do
        case $key in documentation | repository) continue ;; esac
        grep -qE "^$key( |\.)" "$manifest" || { echo "$crate: Cargo.toml lacks $key" >&2; failed=1; }
    done
    grep -q '^\[package.metadata.docs.rs\]' "$manifest" || {
        echo "$crate: Cargo.toml lacks [package.metadata.docs.rs]" >&2
        failed=1
    }
done
[ "$failed" -eq 0 ] && echo 'packages: ok'
exit "$failed"
