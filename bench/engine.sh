#!/usr/bin/env bash
# The engine against PyTorch (training) and ONNX Runtime (inference) on the same ONNX files, in one
# run: everything in turn, round by round, each measurement a fresh process on its own processors.
#
#   bench/engine.sh OUT [BUILD]
#
# OUT gets the networks, runs.jsonl (one line a measurement), engine.json (medians) and engine.md
# (the table, also printed). Settings, from the environment:
#   ROUNDS=3 SECONDS_EACH=3 THREADS="1 2" NETWORKS="tiny seg segr resnet18"
#   CORES="0 1"    processors to use, the first N for N threads; default all that may be used
#   MEMORY_LIMIT_MIB=      of our training sessions (attune bench case --memory-limit), 0: none;
#                          default each network's own, limit_of below
#   BATCH=         of training, default each network's own
#   PYTHON=/usr/bin/python3   with torch and onnx (Debian: python3-torch, python3-onnx)
#   ORT_DIR=       folder with node_modules/onnxruntime-node (see bench/engine_ort.mjs)
# What is missing is said and left out. Nothing else should run on the machine meanwhile.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,19s/^# \{0,1\}//p' "$0" >&2; exit 2; }
out=$1 attune=${2:-build}/src/cmd/attune
rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-3} python=${PYTHON:-/usr/bin/python3}
read -ra threads <<<"${THREADS:-1 2}"
read -ra networks <<<"${NETWORKS:-tiny seg segr resnet18}"
read -ra cores <<<"${CORES:-$("$python" -c 'import os; print(*sorted(os.sched_getaffinity(0)))')}"
[ -x "$attune" ] || { echo "engine.sh: $attune is not there; run make build" >&2; exit 2; }
mkdir -p "$out"
runs=$out/runs.jsonl
: >"$runs"
"$attune" bench engine --export "$out"

have_torch=1 have_ort=1
"$python" -c 'import onnx, torch' 2>/dev/null || {
    have_torch=0
    echo "engine.sh: no PyTorch: $python has no torch or no onnx; training is not compared" >&2
}
ORT_DIR=${ORT_DIR:-} node "$here/engine_ort.mjs" "$out/${networks[0]}.onnx" --seconds 0 >/dev/null 2>&1 || {
    have_ort=0
    echo "engine.sh: no ONNX Runtime: set ORT_DIR (bench/engine_ort.mjs says how); inference is not compared" >&2
}

fact() { # NETWORK KEY: a number from networks.json
    "$python" -c 'import json, sys; print(next(n[sys.argv[3]] for n in json.load(open(sys.argv[1])) if n["name"] == sys.argv[2]))' \
        "$out/networks.json" "$1" "$2"
}

declare -A given_up batch_of head_of limit_of=([tiny]=250 [seg]=500 [segr]=500 [resnet18]=360)
for n in "${networks[@]}"; do
    batch_of[$n]=${BATCH:-$(fact "$n" batch)}
    head_of[$n]=$(fact "$n" head_tensors)
    limit_of[$n]=${MEMORY_LIMIT_MIB:-${limit_of[$n]:-0}}
done

# measure CASE NETWORK THREADS COMMAND...: one line into runs.jsonl. A case that cannot be done is
# recorded once and not tried again; one that fails is said and tried in the next round.
measure() {
    local case=$1 network=$2 t=$3 key="$1 $2 $3" line code=0
    shift 3
    [ -z "${given_up[$key]:-}" ] || return 0
    [ "$t" -le "${#cores[@]}" ] || { echo "engine.sh: $t threads need $t processors" >&2; exit 2; }
    echo "round $round/$rounds: $network, $case, $t threads" >&2
    line=$(OMP_NUM_THREADS=$t taskset -c "$(IFS=,; echo "${cores[*]:0:$t}")" "$@" 2>>"$out/errors.log") || code=$?
    [ $code -eq 0 ] || [ $code -eq 1 ] || {
        echo "engine.sh: exit $code of: $* (see $out/errors.log)" >&2
        return 0
    }
    case $line in *'"unsupported"'*) given_up[$key]=1 ;; esac
    [ -z "$line" ] || printf '{"case": "%s", "network": "%s", "threads": %d, "round": %d, "run": %s}\n' \
        "$case" "$network" "$t" "$round" "$line" >>"$runs"
}

our_cases() { # NETWORK THREADS
    local n=$1 t=$2 p file=$out/$1.onnx
    for p in f32 bf16; do
        local common=("$attune" bench case "$file" --threads "$t" --seconds "$seconds" --precision "$p")
        measure "attune train $p" "$n" "$t" "${common[@]}" --mode train --batch "${batch_of[$n]}" \
            --memory-limit "${limit_of[$n]}"
        [ "$n" != segr ] || continue
        measure "attune infer $p" "$n" "$t" "${common[@]}" --mode infer
        measure "attune delta $p" "$n" "$t" "${common[@]}" --mode delta
        [ "${head_of[$n]}" = 0 ] || measure "attune frozen $p" "$n" "$t" "${common[@]}" \
            --mode train --batch "${batch_of[$n]}" --memory-limit "${limit_of[$n]}" --trainable "${head_of[$n]}"
    done
}

torch_cases() { # NETWORK THREADS
    local n=$1 t=$2 malloc variant
    for malloc in default tuned; do
        for variant in "f32 nchw" "f32 channels_last" "bf16 channels_last"; do
            read -r p layout <<<"$variant"
            # segr is there for bf16, of which PyTorch has no gradient of seg's ReLU6
            [ "$n $p" != "segr f32" ] || continue
            measure "torch train $p $layout $malloc" "$n" "$t" "$python" "$here/engine_torch.py" \
                "$out/$n.onnx" --batch "${batch_of[$n]}" --threads "$t" --precision "$p" \
                --layout "$layout" --malloc "$malloc" --seconds "$seconds"
        done
    done
}

: >"$out/errors.log"
for ((round = 1; round <= rounds; round++)); do
    for t in "${threads[@]}"; do
        measure "attune peak" machine "$t" "$attune" bench peak --threads "$t" --seconds "$seconds"
        for n in "${networks[@]}"; do
            our_cases "$n" "$t"
            [ $have_torch = 0 ] || torch_cases "$n" "$t"
            [ $have_ort = 0 ] || [ "$n" = segr ] ||
                measure "onnxruntime infer f32" "$n" "$t" node "$here/engine_ort.mjs" "$out/$n.onnx" \
                    --threads "$t" --seconds "$seconds"
        done
    done
done
"$python" "$here/engine_table.py" "$out"
