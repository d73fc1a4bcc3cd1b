#!/bin/sh
# Runs the page's tests where there is what they need; else says what is missing (exit 77: skipped).
command -v node >/dev/null || { echo "needs node: apt-get install nodejs"; exit 77; }
exec node "$(dirname "$0")/test_page.mjs"
