#!/usr/bin/env bash
# The checks that need no running program: format, headers alone, layers, banned calls, cppcheck.
#   tools/check.sh [BUILD]    a configured and built folder, for generated headers
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
bad=0
fail() { echo "check: $*" >&2; bad=1; }

mapfile -t sources < <(git ls-files '*.c' '*.h')
clang-format --dry-run --Werror "${sources[@]}" || fail "run make fmt"

for h in $(git ls-files 'src/*.h'); do
    echo "#include \"${h#src/}\"" |
        ${CC:-cc} -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -Isrc -Iinclude -I"$build/src" -fsyntax-only -x c - || fail "$h does not stand alone"
done

below_cmd=$(git ls-files 'src/*.c' | grep -v '^src/cmd/')
# Nothing below src/cmd prints or exits; log.h stays out of the libraries.
grep -nE '\b(printf|puts|exit|abort)\(' $(echo "$below_cmd" | grep -vE '^src/base/(log|progress)\.c') && fail "prints or exits below src/cmd"
grep -ln 'base/log.h' $(git ls-files 'src/nn' 'src/delta' 'src/video' 'src/store' 'src/task' 'src/train' 'src/gate' | grep '\.[ch]$') && fail "a library logs"
# Only base reads clocks and draws randomness from the system.
grep -nE '\b(gettimeofday|clock_gettime|time|rand|srand|random)\(' $(git ls-files 'src/*.c' | grep -vE '^src/base/') && fail "a clock or rand() outside src/base"
grep -nE '\b(strcpy|strcat|sprintf|gets|strtok|alloca)\(' $(git ls-files '*.c') && fail "a banned function"
grep -lnE '#include <lib(av|sw)' $(git ls-files 'src/*.[ch]' | grep -v '^src/video/') && fail "libav* outside src/video"
grep -ln 'dnnl\.h>' $(git ls-files 'src/*.[ch]' | grep -v '^src/nn/dnnl[a-z_]*\.[ch]') && fail "oneDNN outside src/nn/dnnl*.c"

if command -v cppcheck >/dev/null; then
    cppcheck -q --std=c11 -Isrc --error-exitcode=1 --inline-suppr --suppressions-list=tools/cppcheck.supp \
        --library=tools/cppcheck.cfg --enable=warning,portability -j "$(nproc)" $(git ls-files 'src/*.c') || fail "cppcheck"
fi
[ $bad = 0 ] && echo "checks: all passed"
exit $bad
