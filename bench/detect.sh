#!/usr/bin/env bash
# Detection on real clips: a small detector before and after adapting to each, against a larger one's boxes.
#   bench/detect.sh STUDENT.onnx TEACHER.onnx CLIPS [BUILD]
# CLIPS: a video or a folder of them; of NAME.mp4, NAME.csv beside it holds true boxes (docs/formats.md, "box list").
# Both networks say what they are (attune model describe) and have the classes of models/class-maps/coco-road-users.yaml.
# FPS: frames a second that are scored, default 1; RECIPE: over attune's (attune eval --help-recipe).
set -euo pipefail
[ -n "${3:-}" ] || { echo "detect: skipped, usage: bench/detect.sh STUDENT.onnx TEACHER.onnx CLIPS [BUILD]" >&2; exit 0; }
student=$1 teacher=$2 clips=$3 attune=${4:-build}/src/cmd/attune
for path in "$student" "$teacher" "$clips"; do
    [ -e "$path" ] || { echo "detect: skipped, there is no $path" >&2; exit 0; }
done
export OMP_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
map=$(dirname "$0")/../models/class-maps/coco-road-users.yaml
printf '%-34s%8s%10s%8s%10s%8s%9s\n' "in percent of the teacher's boxes" frames F1 adapted mAP adapted kbit/s
find -L "$clips" -type f \( -name '*.mp4' -o -name '*.avi' -o -name '*.mkv' \) | LC_ALL=C sort | while read -r clip; do
    truth=${clip%.*}.csv
    labels=()
    [ -f "$truth" ] && labels=(--labels "$truth")
    "$attune" eval --source "$clip" --student "$student" --teacher "$teacher" --class-map "$map" --fps "${FPS:-1}" \
        --mode none,attune --recipe "${RECIPE:-steps=20}" "${labels[@]}" --json --quiet \
        > "$work/r.json" 2> "$work/log" < /dev/null || { echo "$(basename "$clip"): $(tail -n 1 "$work/log")"; continue; }
    python3 - "$work/r.json" "$(basename "$clip")" <<'PY'
import json, sys
none, ours = json.load(open(sys.argv[1]))["modes"]
percent = lambda v: "-" if v is None else "%.1f" % (100 * v)
def row(name, f1, maps):
    print("%-34s%8d%10s%8s%10s%8s%9.1f" % ((name, none["frames"]) + tuple(map(percent, f1 + maps)) + (ours["uplink_kbps"],)), flush=True)
row(sys.argv[2], [m["accuracy_teacher"] for m in (none, ours)], [m["map"]["teacher"] for m in (none, ours)])
if none["accuracy_truth"] is not None:
    row("  against its true boxes", [m["accuracy_truth"] for m in (none, ours)], [m["map"]["truth"] for m in (none, ours)])
    print("  the teacher against them: F1 %s, mAP %s" % (percent(none["teacher_truth"]), percent(none["map"]["teacher_truth"])), flush=True)
PY
done
