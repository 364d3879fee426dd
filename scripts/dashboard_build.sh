#!/usr/bin/env bash
# Writes the assets of the dashboard from their sources in `dashboard/src`: one script and one style, without
# spaces and comments. With --check it writes nothing and fails where the committed ones differ.
set -euo pipefail
cd "$(dirname "$0")/.."
assets=crates/seawall-admin/assets
target=$assets
if [ "${1:-}" = --check ]; then
    target=$(mktemp -d)
    trap 'rm -r "$target"' EXIT
fi

tools=dashboard/node_modules/.bin
[ -x "$tools/terser" ] || (cd dashboard && npm ci --no-audit --no-fund --silent)
build() { "$tools/esbuild" --log-level=warning "$@"; }
build dashboard/src/app.js --bundle --format=esm --external:./uplot.js |
    "$tools/terser" --module --compress passes=3 --mangle --ecma 2022 --output "$target/app.js"
build dashboard/src/style.css --minify --outfile="$target/style.css"
# Lines without their indentation: a browser reads both alike.
sed -E 's/^ +//' dashboard/src/dashboard.html >"$target/dashboard.html"
cp dashboard/src/icon.svg "$target/icon.svg"

size=$(cat "$target"/{dashboard.html,app.js,style.css,icon.svg} "$assets/uplot.js" | wc -c)
[ "$size" -lt 100000 ] || { echo "the dashboard has $size bytes, accepted is less than 100000" >&2; exit 1; }
if [ "$target" != "$assets" ]; then
    for name in dashboard.html app.js style.css icon.svg; do
        cmp "$target/$name" "$assets/$name" || { echo 'run scripts/dashboard_build.sh' >&2; exit 1; }
    done
fi
echo "dashboard: $size bytes"
