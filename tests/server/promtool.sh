#!/usr/bin/env bash
# Prometheus's own checks: of a page that a real server gave, of the alert rules, of what they say.
#   promtool.sh TEST_METRICS DEPLOY
set -euo pipefail
command -v promtool >/dev/null || { echo "no promtool: apt-get install prometheus"; exit 77; }
said=$("$1" --page | promtool check metrics 2>&1) || { echo "$said"; exit 1; }
# promtool says what it would have otherwise and still ends with 0 where it only advises.
[ -z "$said" ] || { echo "$said"; exit 1; }
promtool check rules "$2/prometheus/alerts.yaml"
promtool test rules "$2/prometheus/alerts-test.yaml"
