#!/usr/bin/env bash
# Fetches uPlot from npm, checks what came, and writes the part of it that the dashboard draws with: without the
# builders of steps, bars and splines it is a tenth smaller. Its licence goes beside it.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.6.32
sum=4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d
assets=$PWD/crates/seawall-admin/assets

terser=dashboard/node_modules/.bin/terser
[ -x "$terser" ] || (cd dashboard && npm ci --no-audit --no-fund --silent)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
(cd "$work" && npm pack --silent "uplot@$version" >/dev/null)
echo "$sum  $work/uplot-$version.tgz" | sha256sum --check --quiet
tar -xzf "$work/uplot-$version.tgz" -C "$work"
unused='(paths\.(stepped|bars|spline) *= '
[ "$(grep -cE "^\s*\\$unused" "$work/package/dist/uPlot.esm.js")" -eq 3 ]
grep -vE "^\s*\\$unused" "$work/package/dist/uPlot.esm.js" >"$work/uPlot.js"
{
    echo "/* uPlot $version, MIT, (c) Leon Sorokin: without stepped, bars and spline */"
    "$terser" "$work/uPlot.js" --module --compress passes=3 --mangle --ecma 2022
} >"$work/out.js"
cp "$work/package/LICENSE" "$assets/uPlot.LICENSE"
if [ "${1:-}" = --check ]; then
    cmp "$work/out.js" "$assets/uplot.js"
else
    cp "$work/out.js" "$assets/uplot.js"
fi
