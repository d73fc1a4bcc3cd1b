#!/usr/bin/env bash
# attune model: inspect, check, train, export, diff - what they say, what they refuse, and that a
# run which was stopped ends with the bytes of one that was not.
#   model.sh ATTUNE MODELS MAKE_VERSIONS
set -uo pipefail
attune=$1 models=$2 make_versions=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
student=$models/town-student.onnx

complain() { echo "$*"; bad=1; }

# expect CODE TEXT COMMAND...: the exit code, and TEXT somewhere in the output.
expect() {
    local code=$1 text=$2
    shift 2
    "$attune" model "$@" >"$work/out" 2>&1
    local got=$?
    if [ $got -ne "$code" ] || ! grep -qF -- "$text" "$work/out"; then
        complain "attune model $*: exit $got, expected $code and '$text':"
        cat "$work/out"
    fi
}

# json FILE EXPRESSION: o is the object. One Python judges them all.
coproc JUDGE { exec python3 -u -c '
import json, sys
for line in sys.stdin:
    path, expression = line.rstrip("\n").split("\t")
    try:
        o = json.load(open(path))
        print("yes" if eval(expression) else "no")
    except Exception as e:
        print(repr(e))'; }
json() {
    local said=
    printf '%s\t%s\n' "$1" "$2" >&"${JUDGE[1]}" && read -r said <&"${JUDGE[0]}"
    [ "$said" = yes ] || complain "$1: not so: $2 ($said)"
}

# ---- every verb teaches
expect 0 "attune model VERB"  --help
expect 2 "no verb 'paint'" paint
for verb in inspect check train export diff delta quantize; do
    expect 0 "example: attune model $verb" $verb --help
    expect 2 "there is no option '--wrong'" $verb --wrong
done
expect 2 "a file is needed" inspect
expect 2 "2 files are needed" diff "$student"
expect 2 "--batch takes a number from 1 to 1024" inspect "$student" --batch 0
expect 2 "--size takes WIDTHxHEIGHT" check "$student" --size 12
expect 2 "--seconds needs a value" check "$student" --seconds
expect 2 "--json takes no value" check "$student" --json=yes

# ---- damaged and foreign files
head -c 3000 "$student" >"$work/torn.onnx"
: >"$work/empty.onnx"
python3 - "$student" "$work" <<'PY'
# Two operators that nobody has: one in the middle, one late; the length of the names stays.
import sys
data = open(sys.argv[1], "rb").read()
out = data.replace(b"Sigmoid", b"Einsums").replace(b"\x06Resize", b"\x06Sample")
assert out.count(b"Einsums") == 1 and out.count(b"\x06Sample") >= 2
open(sys.argv[2] + "/foreign.onnx", "wb").write(out)
PY
for verb in inspect check export; do
    out=; [ $verb = export ] && out="--out $work/x.onnx"
    expect 3 "no-such.onnx" $verb "$work/no-such.onnx" $out
    expect 3 "torn.onnx" $verb "$work/torn.onnx" $out
    expect 3 "empty.onnx" $verb "$work/empty.onnx" $out
done
expect 3 "Einsums" inspect "$work/foreign.onnx"

# ---- inspect
"$attune" model inspect "$student" --nodes --batch 4 --json >"$work/i.json" || complain "inspect failed"
json "$work/i.json" 'len(o["node_list"]) == o["nodes"]'
json "$work/i.json" 'abs(sum(n["flops"] for n in o["node_list"]) / o["flops"] - 1) < 1e-4'
json "$work/i.json" 'sum(n["parameters"] for n in o["node_list"]) == o["parameters"]["trainable"]'
json "$work/i.json" 'o["memory"]["batch"] == 4 and o["memory"]["training_bytes"] > o["memory"]["inference_bytes"] > 0'
expect 0 "[1,3,64,96]" inspect "$student" --size 96x64
expect 0 "not measured" inspect "$student" --size 4096x4096 --batch 1024

# ---- check
"$attune" model check "$student" --size 96x64 --seconds 0 --json >"$work/c.json" || complain "check failed"
json "$work/c.json" 'o["supported"] and not o["unsupported"] and len(o["results"]) == 2 + o["bf16_available"]'
json "$work/c.json" 'all(r["ms"] > 0 and r["bytes"] > 0 and r["precision"] in ("f32", "bf16") for r in o["results"])'
expect 0 "runs and trains it" check "$student" --size 96x64 --seconds 0 --batch 2
"$attune" model check "$work/foreign.onnx" --json >"$work/c.json"
[ $? = 1 ] || complain "check of unsupported nodes does not exit with 1"
json "$work/c.json" '{n["operator"] for n in o["unsupported"]} == {"Einsums", "Sample"}'
json "$work/c.json" 'len(o["unsupported"]) == 5 and o["judged_by_operator"] > 0'
expect 1 "5 of 61 nodes are not supported" check "$work/foreign.onnx"
expect 1 "smaller --batch" check "$student" --size 4096x4096 --batch 1024
for pair in town-student:town-teacher town-detector-student:town-detector-teacher; do
    town=(--source town:width=320,height=192)
    "$attune" model check "$models/${pair%:*}.onnx" "${town[@]}" --until 6 --seconds 0 --json >"$work/c.json" &&
        "$attune" eval "${town[@]}" --seconds 6 --student "$models/${pair%:*}.onnx" --teacher "$models/${pair#*:}.onnx" \
            --mode none --quiet --json >"$work/e.json" || complain "scoring ${pair%:*} failed"
    python3 - "$work" <<'PY' || complain "model check and eval differ on $pair"
import json, sys
s = json.load(open(sys.argv[1] + "/c.json"))["score"]
e = json.load(open(sys.argv[1] + "/e.json"))["modes"][0]
ok = s["frames"] == 6 and 0.1 < s["score"] < 1 and abs(s["score"] - e["accuracy_truth"]) < 1e-5
if s["metric"] == "F1":
    ok = ok and abs(s["average_precision"] - e["map"]["truth"]) < 1e-5
    some = [c["average_precision"] for c in s["classes"].values() if c["average_precision"] is not None]
    ok = ok and abs(sum(some) / len(some) - s["average_precision"]) < 1e-5
sys.exit(not ok)
PY
done
expect 2 "go with --source" check "$student" --labels x.csv
"$attune" synth --out "$work/bare" --format png --scenario clear --seconds 2 --fps 1 --size 64x64 --cameras 1 --quiet
rm -f "$work"/bare/*_label.png
expect 3 "no frame has labels" check "$student" --seconds 0 --source "$work/bare"

# ---- versions: export and diff
"$make_versions" "$student" "$work/state" || complain "make_versions failed"
gate=$work/state/models/gate-1
expect 0 "version       2" export "$student" --state "$work/state" --camera gate-1 --out "$work/v2.onnx"
expect 0 "version       1" export "$student" --state "$work/state" --camera gate-1 --version 1 --out "$work/v1.onnx"
expect 0 "version       2" export "$student" "$gate/v1.delta" "$gate/v2.delta" --out "$work/d2.onnx"
expect 0 "version       2" export "$student" "$work/state/camera.checkpoint" --out "$work/k2.onnx"
cmp "$work/v2.onnx" "$work/d2.onnx" || bad=1
cmp "$work/v2.onnx" "$work/k2.onnx" || bad=1
expect 3 "v2.delta" export "$student" "$gate/v2.delta" --out "$work/x.onnx"
expect 3 "v7.snap" export "$student" --state "$work/state" --camera gate-1 --version 7 --out "$work/x.onnx"
expect 3 "no-gate" export "$student" --state "$work/state" --camera no-gate --out "$work/x.onnx"
expect 3 "not the name of a camera" export "$student" --state "$work/state" --camera ../gate-1 --out "$work/x.onnx"
expect 3 "v1.delta" export "$models/town-teacher.onnx" "$gate/v1.delta" --out "$work/x.onnx"
expect 2 "--state goes with --camera" export "$student" --state "$work/state" --out "$work/x.onnx"
expect 3 "nowhere" export "$student" --out "$work/nowhere/x.onnx"
(ulimit -f 64; trap '' XFSZ; expect 3 "x.onnx" export "$student" --out "$work/x.onnx"; exit $bad) || bad=1
[ ! -e "$work/x.onnx" ] || complain "a failed export left a file"
ls "$work" | grep -q tmp && complain "a failed export left a temporary file"

expect 0 "no parameter differs" diff "$work/v2.onnx" "$work/d2.onnx"
"$attune" model diff "$student" "$work/v2.onnx" --json >"$work/whole.json" || complain "diff failed"
"$attune" model diff "$student" "$gate/v2.snap" --json >"$work/snap.json" || complain "diff failed"
cmp "$work/whole.json" "$work/snap.json" || bad=1
json "$work/whole.json" 'not o["equal"] and o["update_bytes"] > 1000'
json "$work/whole.json" 'o["moved"] == sum(t["moved"] for t in o["tensors"])'
json "$work/whole.json" '0.09 < o["moved"] / o["coordinates"] < 0.11 and 0.019 < max(t["largest"] for t in o["tensors"]) < 0.022'
json "$work/whole.json" 'o["tensors"] == sorted(o["tensors"], key=lambda t: -t["relative"])'
# An update from 1 to 2 is as long as the one that was sent.
"$attune" model diff "$gate/v1.snap" "$gate/v2.delta" --model "$student" --json >"$work/step.json"
[ "$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["update_bytes"])' "$work/step.json")" = "$(stat -c %s "$gate/v2.delta")" ] || complain "an update's bytes are not those of the file"
expect 3 "say with --model" diff "$gate/v1.snap" "$gate/v2.delta"
expect 3 "not two versions" diff "$student" "$models/town-teacher.onnx"

expect 0 "folded        16 batch-norm" export "$student" "$gate/v1.delta" --fold --out "$work/folded.onnx"
expect 0 "folded into the convolutions" inspect "$work/folded.onnx"
expect 0 "weights in f16" export "$student" --precision f16 --out "$work/half.onnx"
[ "$(stat -c %s "$work/half.onnx")" -lt $(($(stat -c %s "$student") * 11 / 20)) ] || complain "float16 is not half the size"
expect 0 "kept as nodes" inspect "$work/half.onnx"
expect 2 "--precision is f32 or f16" export "$student" --precision f8 --out "$work/x.onnx"

# ---- train
small="--network student --size 64x64 --batch 2 --steps 40 --save-every 5 --validate-every 20 --validation-frames 2 --frames 1"
expect 2 "--out and one of --model and --network" train --network student
expect 2 "--out and one of --model and --network" train --model a --network student --out x
expect 2 "multiples of 16" train --network student --size 70x64 --out "$work/x.onnx"
expect 2 "--classes goes with --data" train --network student --classes a,b --out "$work/x.onnx"
expect 2 "--batch-norm is frozen or batch" train $small --batch-norm soft --out "$work/x.onnx"
expect 2 "--precision is f32 or bf16" train $small --precision f8 --out "$work/x.onnx"
expect 3 "nowhere" train $small --out "$work/nowhere/x.onnx"
expect 3 "is a folder" train $small --out "$work"
expect 3 "name another" train --model "$work/v1.onnx" --out "$work/v1.onnx"
expect 3 "no-such" train --model "$work/no-such.onnx" --out "$work/x.onnx"

expect 0 "validation mIoU" train $small --out "$work/whole.onnx"
[ ! -e "$work/whole.onnx.state" ] || complain "a finished run left its state"
# Stopped by Ctrl-C, then by a kill, then left to end.
stop() { # SIGNAL ARGS...
    local signal=$1 pid n
    shift
    rm -f "$work/saved"; touch "$work/saved"
    "$attune" model train $small --out "$work/parts.onnx" "$@" >"$work/out" 2>&1 &
    pid=$!
    for n in $(seq 600); do
        [ "$work/parts.onnx.state" -nt "$work/saved" ] && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.05
    done
    kill -"$signal" $pid 2>/dev/null
    wait $pid
}
stop INT
code=$?
if [ $code = 1 ]; then
    grep -q -- "--resume" "$work/out" || complain "an interrupted run does not say how to go on"
    [ -e "$work/parts.onnx" ] || complain "an interrupted run has no network"
    expect 3 "go on with --resume" train $small --out "$work/parts.onnx"
    expect 3 "state of another run" train $small --steps 50 --resume --out "$work/parts.onnx"
    cp "$work/parts.onnx.state" "$work/keep.state"
    head -c 5000 "$work/keep.state" >"$work/parts.onnx.state"
    expect 3 "cut short" train $small --resume --out "$work/parts.onnx"
    cp "$work/keep.state" "$work/parts.onnx.state"
    stop KILL --resume 2>/dev/null
elif [ $code != 0 ]; then
    complain "an interrupted run exits with $code"; cat "$work/out"
fi
[ -e "$work/parts.onnx.state" ] && expect 0 "validation mIoU" train $small --resume --out "$work/parts.onnx"
cmp "$work/whole.onnx" "$work/parts.onnx" || complain "a run that was stopped ends with other bytes"

# Labelled pictures: from nothing, from a file, only scored.
"$attune" synth --out "$work/pictures" --format png --scenario clear --seconds 10 --fps 1 --size 64x64 --cameras 1 --quiet || complain "synth failed"
names=sky,building,road,pavement,tree,car,lorry,bus,person,cyclist
"$attune" model train --network student --size 64x64 --classes $names --data "$work/pictures" --validation 0.3 --steps 6 --batch 2 --validate-every 3 --out "$work/own.onnx" --json >"$work/t.json" || complain "training on pictures failed"
json "$work/t.json" 'o["steps"] == 6 and [h["step"] for h in o["history"]] == [3, 6]'
json "$work/t.json" 'all(0 <= h["validation_miou"] <= 1 for h in o["history"]) and set(o["scores"][0]["iou"]) == set("'$names'".split(","))'
expect 0 "validation" train --model "$work/own.onnx" --data "$work/pictures" --steps 3 --batch 2 --out "$work/more.onnx"
expect 0 "validation" train --score "$work/more.onnx" --data "$work/pictures"
"$attune" model diff "$work/own.onnx" "$work/more.onnx" --json >"$work/d.json"
json "$work/d.json" 'all(t["moved"] == 0 for t in o["tensors"] if t["kind"] == "statistic") and o["moved"] > 0' # frozen
# To classify: a folder a class, or a CSV file; the town's crops.
mkdir -p "$work/classes/left" "$work/classes/right"
n=0
for picture in "$work"/pictures/*/*.png "$work"/pictures/*.png; do
    case $picture in *_label.png|*\**) continue;; esac
    n=$((n + 1))
    cp "$picture" "$work/classes/$([ $((n % 2)) = 0 ] && echo left || echo right)/$n.png"
done
classify="--task classify --network student --batch 2 --steps 4"
"$attune" model train $classify --data "$work/classes" --validation 0.3 --out "$work/class.onnx" --json >"$work/t.json" || complain "training on folders failed"
json "$work/t.json" 'o["steps"] == 4 and 0 <= o["scores"][0]["accuracy"] <= 1 and "miou" not in o["scores"][0] and set(o["scores"][0]["classes"]) == {"left", "right"}'
json "$work/t.json" 'all("training_miou" not in h and 0 <= h["validation_accuracy"] <= 1 for h in o["history"])'
expect 0 "validation accuracy" train --model "$work/class.onnx" --data "$work/classes" --steps 2 --batch 2 --out "$work/class2.onnx"
printf 'file,class\nleft/2.png,left\nright/1.png,rihgt\n' >"$work/list.csv"
expect 3 "'rihgt' is none of the network's" train --score "$work/class.onnx" --data "$work/classes" --labels "$work/list.csv"
expect 2 "--task is segment, classify or detect" train --task dance --network student --out "$work/x.onnx"
expect 0 "cyclist" train --task detect --network student --batch 2 --steps 2 --validation-frames 1 --frames 1 --out "$work/boxes.onnx"
expect 3 "with boxes are not read" train --model "$work/boxes.onnx" --data "$work/pictures" --out "$work/x.onnx"
expect 2 "--task goes with --network" train --task classify --model "$work/class.onnx" --data "$work/classes" --out "$work/x.onnx"
expect 3 "holds 0 folders" train $classify --data "$work/classes/left" --out "$work/x.onnx"
expect 0 "cyclist" train $classify --validation-frames 1 --frames 1 --out "$work/crops.onnx"
expect 3 "is not for the town" train --score "$work/class.onnx"
mkdir "$work/none"
expect 3 "holds no jpg" train --model "$student" --data "$work/none" --out "$work/x.onnx"
expect 3 "no-such-folder" train --model "$student" --data "$work/no-such-folder" --out "$work/x.onnx"
expect 3 "labels" train --model "$student" --data "$work/pictures" --labels "$work/none" --out "$work/x.onnx"

# ---- describe
expect 2 "--out is needed" describe "$student"
expect 0 "task         segment" describe "$student" --out "$work/described.onnx" --mean 0.5,0.5,0.5
expect 3 "attune.mean must be three numbers" describe "$student" --out "$work/x.onnx" --mean 0.5
expect 3 "attune.detect.head must be" describe "$student" --out "$work/x.onnx" --task detect
expect 0 "answered from 0.6" describe "$work/boxes.onnx" --out "$work/described.onnx" --threshold 0.6 --channels 4,3,2,1,0
expect 3 "must be 5 numbers below 5" describe "$work/boxes.onnx" --out "$work/x.onnx" --channels 0,1,2,3,5
"$attune" model inspect "$work/described.onnx" --json >"$work/t.json" || complain "a described network cannot be read"
json "$work/t.json" 'o["metadata"]["attune.detect.threshold"] == "0.6"'

# ---- quantize
out=$work/int8.onnx
expect 2 "--out is needed" quantize "$student" --town
expect 2 "one of --frames and --town" quantize "$student" --out "$out"
expect 2 "one of --frames and --town" quantize "$student" --town --frames "$work/pictures" --out "$out"
expect 2 "--clip is error or none" quantize "$student" --town --clip most --out "$out"
expect 2 "--headroom takes a number from 1 to 16" quantize "$student" --town --headroom 0.5 --out "$out"
expect 2 "--conditions is clear or all" quantize "$student" --town --conditions wet --out "$out"
expect 3 "torn.onnx" quantize "$work/torn.onnx" --town --out "$out"
expect 3 "no-such-folder" quantize "$student" --frames "$work/no-such-folder" --out "$out"
expect 3 "none" quantize "$student" --frames "$work/none" --out "$out"
expect 3 "nowhere" quantize "$student" --town --count 1 --compare 1 --out "$work/nowhere/x.onnx"
mkdir "$work/single"
cp "$(ls "$work"/pictures/*.png | grep -v _label | head -1)" "$work/single"
expect 3 "single picture" quantize "$student" --frames "$work/single" --out "$out"
[ ! -e "$out" ] || complain "a failed quantize left a file"
"$attune" model quantize "$student" --town --count 3 --compare 4 --out "$out" --json >"$work/q.json" || complain "quantize failed"
json "$work/q.json" 'o["calibrated_on"] == 3 and o["compared_on"] == 4 and o["results"][0]["agreement"] == 1'
json "$work/q.json" 'all(r["agreement"] > 0.97 and abs(r["miou"] - o["results"][0]["miou"]) < 0.02 and r["ms"] > 0 for r in o["results"])'
json "$work/q.json" '[r["precision"] for r in o["results"]][0] == "f32" and set(r["precision"] for r in o["results"]) <= {"f32", "bf16", "int8"}'
# The weights are as they were; the ranges stay through export and fold.
expect 0 "no parameter differs" diff "$student" "$out"
expect 0 "calibrated: cameras" inspect "$out"
expect 0 "folded        16" export "$out" --fold --out "$work/folded8.onnx"
expect 0 "calibrated: cameras" inspect "$work/folded8.onnx"
"$attune" model check "$out" --size 96x64 --seconds 0 --json >"$work/c8.json" || complain "check failed"
has_int8=$(python3 -c 'import json,sys; print(any(r["precision"] == "int8" for r in json.load(open(sys.argv[1]))["results"]))' "$work/q.json")
json "$work/c8.json" 'sum(r["precision"] == "int8" for r in o["results"]) == '"$has_int8"
# Pictures of a folder; nobody knows their classes.
expect 0 "compared on 5 others" quantize "$work/own.onnx" --frames "$work/pictures" --clip none --out "$work/own8.onnx"
"$attune" model quantize "$work/own8.onnx" --frames "$work/pictures" --count 2 --compare 2 --out "$work/own8.onnx" --json >"$work/q.json" || complain "quantizing again failed"
json "$work/q.json" 'o["calibrated_on"] == 2 and all(r["miou"] is None for r in o["results"])'
# A damaged record.
python3 - "$out" "$work/damaged.onnx" <<'PY'
import sys
data = open(sys.argv[1], "rb").read()
at = data.index(b"attune.ranges") + 20
line = data.index(b"\n0 ", at) + 1
open(sys.argv[2], "wb").write(data[:line] + b"x" + data[line + 1:])
PY
expect 3 "attune.ranges" inspect "$work/damaged.onnx"
exit $bad
