#!/usr/bin/env bash
# Classification of real stills: a folder of pictures for each class, whose names sort by time.
#   bench/stills.sh DIR [BUILD]
# A teacher learns every second picture, a student only the first FIRST of the others; what is left is
# streamed in order of time, one a second, through `attune eval` with all modes side by side.
# OUT keeps the networks (default: a temporary folder), FIRST is 16, SIZE 64x64.
set -euo pipefail
[ -n "${1:-}" ] || { echo "stills: skipped, no folder was given (bench/stills.sh DIR, a folder of pictures for each class)" >&2; exit 0; }
data=$1 attune=${2:-build}/src/cmd/attune first=${FIRST:-16} size=${SIZE:-64x64}
[ -d "$data" ] || { echo "stills: skipped, there is no $data" >&2; exit 0; }
export OMP_NUM_THREADS=1
work=${OUT:-$(mktemp -d)}
mkdir -p "$work"
[ -n "${OUT:-}" ] || trap 'rm -rf "$work"' EXIT

# NAME TAB CLASS/NAME, by name.
(cd "$data" && find . -mindepth 2 -maxdepth 2 \( -name '*.jpg' -o -name '*.png' \) -printf '%f\t%P\n' |
    LC_ALL=C sort) | cut -f2 |
    awk -v first="$first" -v work="$work" -F/ '
        BEGIN { split("teacher student stream", names, " ")
                for (i in names) print "file,class" > (work "/" names[i] ".csv") }
        { to = NR % 2 ? "teacher" : ++seen <= first ? "student" : "stream"
          print $0 "," $1 > (work "/" to ".csv") }'
train() {
    rm -f "$work/$1.onnx.state"
    "$attune" model train --task classify --network "$1" --size "$size" --data "$data" --labels "$work/$1.csv" \
        --validation 0 --steps "$2" --batch 16 --color-jitter 0.3 --out "$work/$1.onnx" > "$work/$1.log" 2>&1
}
train teacher 600
train student 150
"$attune" eval --source "$data" --labels "$work/stream.csv" --fps 1 --student "$work/student.onnx" \
    --teacher "$work/teacher.onnx" --quiet
