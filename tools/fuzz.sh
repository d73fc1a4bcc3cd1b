#!/usr/bin/env bash
# Runs every fuzz target for N seconds (default 60), two at a time, on copies of the corpora.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ -f build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
ninja -C build-fuzz
one() {
    name=$(basename "$1"); name=${name#fuzz_}
    work=$(mktemp -d)
    if "$1" -max_total_time="$2" -rss_limit_mb=2048 -timeout=20 -artifact_prefix="$work/" "$work" "fuzz/corpus/$name" >"$work.log" 2>&1
    then echo "fuzz $name: clean, $(grep -oE '^#[0-9]+' "$work.log" | tail -1) runs"; rm -rf "$work" "$work.log"
    else echo "fuzz $name: FINDING, see $work.log and $work"; tail -30 "$work.log"; exit 255; fi
}
export -f one
find build-fuzz/fuzz -maxdepth 1 -type f -executable -name 'fuzz_*' | sort | xargs -P2 -I{} bash -c 'one {} '"$seconds"
