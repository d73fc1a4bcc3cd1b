#!/usr/bin/env bash
# `attune eval` on labelled drives: CamVid's three, ESPNetv2 s0.5 as student and s2.0 as teacher.
#   bench/camvid.sh DATA OUT [BUILD] [eval options...]
# DATA holds camvid/DRIVE/*.jpg with *_label.png, camvid/index.csv and models/seg/espnetv2_*.onnx. It
# is not part of this project; without it there is nothing to do and the script says so.
# Frames at 1 Hz: those whose number is a multiple of 30 (index.csv lists some at 15 Hz as well).
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?usage: bench/camvid.sh DATA OUT [BUILD] [eval options]}
out=${2:?usage: bench/camvid.sh DATA OUT [BUILD] [eval options]}
build=${3:-build}
shift $(($# < 3 ? $# : 3))
if [ ! -d "$data/camvid" ]; then
    echo "camvid: skipped, there is no $data/camvid" >&2
    exit 0
fi
mkdir -p "$out"
for drive in 0001TP 0006R0 0016E5; do
    frames=$out/$drive
    rm -rf "$frames" && mkdir -p "$frames"
    for image in "$data/camvid/$drive"/*.jpg; do
        name=$(basename "$image" .jpg)
        number=$(echo "${name##*_}" | tr -d 'f' | sed 's/^0*//')
        [ $((number % 30)) -eq 0 ] || continue
        ln -s "$(realpath "$image")" "$frames/$name.jpg"
        ln -s "$(realpath "${image%.jpg}_label.png")" "$frames/${name}_label.png"
    done
    "$build/src/cmd/attune" eval --source "$frames" --fps 1 \
        --class-map models/class-maps/cityscapes-to-camvid.yaml \
        --student "$data/models/seg/espnetv2_s0.5_city_512x384.onnx" \
        --teacher "$data/models/seg/espnetv2_s2.0_city_1024x512.onnx" \
        --plot "$out/$drive.png" "$@" | tee "$out/$drive.txt"
done
