#!/usr/bin/env bash
# kill -9 of server and camera at random moments of a running loop; nothing acknowledged may be lost.
# usage: tests/kill_test.sh BUILD [KILLS_OF_EACH [SEED]]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec python3 "$here/kill/kill_test.py" "$(realpath "${1:?usage: kill_test.sh BUILD [KILLS [SEED]]}")" \
    "${2:-20}" "${3:-1}"
