#!/usr/bin/env bash
# Installs the Debian packages that are missing, and says which. Nothing is done when all are there.
#   tools/install-deps.sh build   what building, the demo and the tests need
#   tools/install-deps.sh ci      also what the checks need
#   tools/install-deps.sh package also what the Debian packages need
#   tools/install-deps.sh dev     also what fuzzing, reference values and the page need
set -euo pipefail

build="build-essential meson ninja-build pkg-config git
 libdnnl-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
 libavformat-dev libavcodec-dev libavutil-dev libavdevice-dev libswscale-dev
 libmicrohttpd-dev libcurl4-gnutls-dev libgnutls28-dev libcrypt-dev libmosquitto-dev libsqlite3-dev
 libzstd-dev libarchive-dev libdeflate-dev zlib1g-dev libjansson-dev libyaml-dev libpng-dev libcairo2-dev libcmocka-dev"
ci="clang libomp-dev clang-format cppcheck prometheus mosquitto doxygen python3-jsonschema python3-yaml nodejs chromium
 libgstrtspserver-1.0-dev gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly glib-networking"
dev="libclang-rt-14-dev python3-torch python3-torchvision python3-numpy python3-onnx"
package="debhelper dpkg-dev fakeroot lintian doxygen python3"

want=$build
case "${1:-build}" in
build) ;;
ci) want="$want $ci" ;;
package) want="$want $package" ;;
dev) want="$want $ci $dev" ;;
*) echo "usage: tools/install-deps.sh [build|ci|package|dev]" >&2; exit 2 ;;
esac
# The page's bundle and browser tests. Where node comes from elsewhere it brings npm, and Debian's npm conflicts with it.
case "${1:-build}" in ci | dev) command -v npm >/dev/null || want="$want npm" ;; esac
missing=()
for p in $want; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "attune needs these Debian packages, installing them: ${missing[*]}" >&2
sudo=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "not root and no sudo: run apt-get install ${missing[*]}" >&2; exit 1; }
    sudo=sudo
fi
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
