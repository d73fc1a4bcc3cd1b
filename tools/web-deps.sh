#!/usr/bin/env bash
# npm's packages for the page's bundle and its tests, as web/package-lock.json names them.
#   tools/web-deps.sh        fails where they cannot be fetched
#   tools/web-deps.sh maybe  says so and goes on: the tests that need them are skipped
set -euo pipefail
cd "$(dirname "$0")/../web"

installed=node_modules/.package-lock.json
[ -f $installed ] && [ ! package-lock.json -nt $installed ] && exit 0
if command -v npm >/dev/null && timeout 180 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; then
    touch $installed
    exit 0
fi
echo "web/: npm's packages could not be installed (no npm, or no network): the page's tests are skipped" >&2
[ "${1:-}" = maybe ]
