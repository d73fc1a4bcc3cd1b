#!/usr/bin/env bash
# The Debian packages of the files as they are now, into OUT.
#   tools/deb.sh [OUT]      default: build/deb
# With TWICE=1 they are built again elsewhere and compared byte by byte.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-build/deb}")
source_date=$(git log -1 --format=%ct 2>/dev/null || date +%s)

# What is built, also the second time, is the tree as it is now.
source_tar=$(mktemp)
trap 'rm -f "$source_tar"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 tar -cf "$source_tar"
commit=$(git describe --always --dirty --abbrev=12 2>/dev/null || true)

# build FOLDER: leaves the packages in FOLDER
build() {
    local tree=$1/attune
    rm -rf "$1"
    mkdir -p "$tree"
    tar -xf "$source_tar" -C "$tree"
    echo "$commit" >"$tree/.commit"
    (cd "$tree" && SOURCE_DATE_EPOCH=$source_date DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-nocheck parallel=$(nproc)}" \
        dpkg-buildpackage -b -us -uc --no-pre-clean >"$1/build.log" 2>&1) || { tail -40 "$1/build.log" >&2; exit 1; }
    rm -rf "$tree"
}

build "$out"
if [ "${TWICE:-0}" = 1 ]; then
    build "$out/again-elsewhere"
    for deb in "$out"/*.deb; do
        cmp "$deb" "$out/again-elsewhere/$(basename "$deb")" || { echo "$deb differs when built again" >&2; exit 1; }
    done
    rm -rf "$out/again-elsewhere"
    echo "built twice, the same bytes"
fi
ls -l "$out"/*.deb
