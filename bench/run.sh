#!/usr/bin/env bash
# Every benchmark that needs nothing but the build.
set -euo pipefail
build=${1:-build}
for b in "$build"/bench/bench_*; do
    [ -x "$b" ] && [ -f "$b" ] && { echo "== $(basename "$b")"; "$b"; }
done
