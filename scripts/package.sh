#!/usr/bin/env bash
# What each published package holds: its manifest, README, both licences and sources, no more; and
# what its manifest says of it. There is no repository to name yet.
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
    odd=$(grep -vE '^(src|tests|examples|benches|docs|catalog|assets)/|^(README\.md|LICENSE-(MIT|APACHE)|Cargo\.(toml|toml\.orig|lock)|\.cargo_vcs_info\.json)$' <<<"$files" || true)
    if [ -n "$odd" ]; then
        printf '%s: the package should not hold\n%s\n' "$crate" "$odd" >&2
        failed=1
    fi
    for licence in LICENSE-MIT LICENSE-APACHE; do
        cmp -s "$licence" "${manifest%/Cargo.toml}/$licence" || {
            echo "$crate: $licence is not that of the workspace" >&2
            failed=1
        }
    done
done

cargo metadata --no-deps --format-version 1 | python3 -c '
import json, pathlib, re, sys

# Those of https://crates.io/category_slugs that fit; another one is added when it is needed.
CATEGORIES = {
    "asynchronous", "caching", "command-line-utilities", "concurrency", "development-tools::testing", "network-programming",
    "web-programming::http-client", "web-programming::http-server",
}
failed = False
for package in json.load(sys.stdin)["packages"]:
    if package["publish"] == []:
        continue
    name, folder = package["name"], pathlib.Path(package["manifest_path"]).parent
    readme = folder / (package["readme"] or "-")
    keywords, description = package["keywords"], package["description"] or ""
    docs = (package["metadata"] or {}).get("docs", {}).get("rs", {})
    rules = {
        "description: a sentence of at most 300 characters": 20 <= len(description) <= 300
        and description.endswith("."),
        "documentation: its page at docs.rs": package["documentation"] == f"https://docs.rs/{name}",
        "readme: a README.md that begins with the name": readme.name == "README.md"
        and readme.exists() and readme.read_text().startswith(f"# {name}\n"),
        "license: both": package["license"] == "MIT OR Apache-2.0",
        "keywords: one to five different ones that crates.io accepts": 1 <= len(set(keywords)) <= 5
        and len(set(keywords)) == len(keywords)
        and all(re.fullmatch(r"[a-z0-9][a-z0-9_+-]{0,19}", word) for word in keywords),
        "categories: of crates.io": set() < set(package["categories"]) <= CATEGORIES,
        "rust-version": package["rust_version"],
        "docs.rs with all features": docs.get("all-features") is True,
    }
    for rule, holds in rules.items():
        if not holds:
            failed = True
            print(f"{name}: Cargo.toml lacks {rule}", file=sys.stderr)
sys.exit(failed)' || failed=1
[ "$failed" -eq 0 ] && echo 'packages: ok'
exit "$failed"
