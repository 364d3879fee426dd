#!/usr/bin/env bash
# Builds the published crates with the oldest Rust that they promise, `rust-version`: the parts of the
# language that are newer are known to the compiler alone.
#
# Where that toolchain is not installed and cannot be had, it says so and checks nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -nE 's/^rust-version = "([0-9.]+)"$/\1/p' Cargo.toml)
[ -n "$version" ] || { echo 'Cargo.toml has no rust-version' >&2; exit 1; }
if ! rustup run "$version" rustc --version >/dev/null 2>&1 &&
    ! timeout 300 rustup toolchain install "$version" --profile minimal >/dev/null 2>&1; then
    echo "not checked: Rust $version is not installed and cannot be had here"
    exit 0
fi
# Warnings are those of the current compiler, which clippy's step denies.
export RUSTFLAGS="${RUSTFLAGS:-} -A warnings"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/msrv"
rustup run "$version" cargo check --quiet --workspace --lib --bins --all-features \
    --exclude seawall-benches --exclude seawall-tests --exclude seawall-examples
echo "builds with Rust $version"
