#!/usr/bin/env bash
# The library as a program elsewhere finds it: installed into a folder, the example built against
# that with nothing but pkg-config, as C99 and the header as C++; nothing exported but attune_*; the
# example follows a real server and answers as `attune camera` does.
#   install.sh BUILD SOURCE TEST_EXAMPLE SANITIZE
set -euo pipefail
build=$1 source=$2 test_example=$3 sanitize=$4
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
flags=(-std=c99 -pedantic -Wall -Wextra -Werror)
[ "$sanitize" = none ] || flags+=("-fsanitize=$sanitize")

DESTDIR=$root meson install -C "$build" --no-rebuild --quiet --tags devel,runtime >/dev/null
library=$(find "$root" -name 'libattune.so.0')
export PKG_CONFIG_PATH=$(dirname "$library")/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
cc "${flags[@]}" "$source/examples/student.c" -o "$root/student" \
    $(pkg-config --cflags --libs libattune) -Wl,-rpath,"$(dirname "$library")"
echo '#include <attune/attune.h>' | c++ -std=c++11 -pedantic -Wall -Wextra -Werror -fsyntax-only \
    $(pkg-config --cflags libattune) -x c++ -

# Every function of the header is there, and nothing else.
nm -D --defined-only "$library" | awk '$2 != "A" {sub("@.*", "", $3); print $3}' | sort >"$root/exported"
grep -oE '\battune_[a-z_]+\(' "$source/include/attune/attune.h" | tr -d '(' | sort -u >"$root/declared"
diff "$root/declared" "$root/exported" || { echo "declared (<) and exported (>) differ"; exit 1; }
for f in $(<"$root/declared"); do
    grep -qE "\b$f\);" "$source/tests/library/abi.c" || { echo "tests/library/abi.c does not know $f"; exit 1; }
done

[ "$(wc -l <"$source/examples/student.c")" -le 100 ] || { echo "the example is longer than 100 lines"; exit 1; }
"$test_example" "$root/student"
