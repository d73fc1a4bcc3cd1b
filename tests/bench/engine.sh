#!/usr/bin/env bash
# `attune bench`: the shape of what it reports, never how fast; and a table of made-up measurements.
#   engine.sh ATTUNE PROJECT
set -euo pipefail
attune=$1 project=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$attune" bench engine --networks tiny --threads 1 --precision f32 \
    --rounds 2 --seconds 0 --batch 1 --json \
    >"$work/report.json"
"$attune" bench engine --networks resnet18 --cases frozen,train --threads 1 --precision f32 \
    --rounds 1 --seconds 0 --batch 1 \
    >"$work/report.txt"
"$attune" bench engine --networks tiny,resnet18 --export "$work/networks"
for options in "--mode train --trainable 2" "--mode infer --precision f32" "--precision bf16"; do
    # Exit status 1: this processor has no bf16.
    # shellcheck disable=SC2086
    "$attune" bench case "$work/networks/tiny.onnx" $options --batch 2 --seconds 0 \
        >>"$work/cases.jsonl" || [ $? = 1 ]
done
python3 - "$work" <<'PY'
import json, math, os, sys
work = sys.argv[1]

report = json.load(open(f"{work}/report.json"))
assert set(report) == {"machine", "rounds", "seconds", "peak", "cases", "unsupported"}, report
assert set(report["machine"]) == {"processor", "onednn", "attune"}
[peak] = report["peak"]
assert peak["threads"] == 1
for k in ("f32_gflops", "copy_gbps", "read_gbps"):
    assert 0 < peak[k] <= peak[k + "_best"] < math.inf, peak
shown = {(c["network"], c["mode"]) for c in report["cases"]}
assert report["unsupported"] == []
assert shown == {("tiny", m) for m in ("train", "infer", "delta")}, shown
for c in report["cases"]:
    assert c["threads"] == 1 and c["precision"] == "f32" and c["batch"] == 1
    assert len(c["rounds_ms"]) == 2 and min(c["rounds_ms"]) <= c["ms"] <= max(c["rounds_ms"]), c
    assert 0 < c["session_mib"] < c["rss_mib"] <= c["peak_rss_mib"], c
    assert c["mode"] != "delta" or c["frame_ms"] > 0 and c["decode_ms"] > 0 and c["apply_ms"] == c["ms"], c
    assert c["mode"] == "delta" or 0 < c["best_ms"] <= c["ms"], c
flops = {(c["network"], c["mode"]): c["gflop"] for c in report["cases"]}
assert abs(flops["tiny", "infer"] - 0.811012) < 1e-6 and abs(flops["tiny", "train"] - 2.42198) < 1e-5

text = open(f"{work}/report.txt").read()
assert "resnet18  frozen" in text and "% of the full step" in text and "tiny" not in text and "1 round" in text, text

listed = {n["name"]: n for n in json.load(open(f"{work}/networks/networks.json"))}
assert set(listed) == {"tiny", "resnet18"}
assert all(os.path.getsize(f"{work}/networks/{n['file']}") > 4 * n["parameters"]
           for n in listed.values())
assert listed["resnet18"]["parameters"] == 11689512 and listed["tiny"]["batch"] == 32

frozen, infer, bf16 = map(json.loads, open(f"{work}/cases.jsonl"))
# Forward, and the gradient of the classifier's 192 x 10 weights, of two pictures.
assert frozen["trainable"] == 2 and abs(frozen["gflop"] - 2 * 0.8110157) < 1e-5, frozen
assert bf16.get("unsupported") or bf16["precision"] == "bf16"
assert infer["mode"] == "infer" and infer["batch"] == 2 and infer["runs"] >= 3
assert abs(infer["gflop"] - 2 * 0.811012) < 1e-5
PY

# The table: 100 ms against 250 and 300 of PyTorch and 20 against 30 of ONNX Runtime.
mkdir "$work/out"
python3 - "$work/out" <<'PY'
import json, sys
lines = []
def add(case, network, ms, mib=100, **more):
    for wobble in (0.9, 1, 1.5):  # rounds; the median counts
        lines.append({"case": case, "network": network, "threads": 1,
                      "run": {"ms": ms * wobble, "best_ms": ms, "rss_mib": mib, "peak_rss_mib": mib,
                              **more}})
add("attune train f32", "tiny", 100, 90, gflop=10)
add("attune train f32", "resnet18", 100, gflop=10)
add("attune frozen f32", "resnet18", 40, gflop=10)
add("torch train f32 nchw default", "tiny", 300, 500)
add("torch train f32 channels_last default", "tiny", 250, 200)
add("torch train f32 channels_last tuned", "tiny", 150, 200)
add("attune infer f32", "tiny", 20, 50, gflop=2)
add("onnxruntime infer f32", "tiny", 30, 100)
add("attune delta f32", "tiny", 5, apply_ms=5, frame_ms=20, decode_ms=33)
lines.append({"case": "attune peak", "network": "machine", "threads": 1, "run": {
    k + s: 200 for k in ("f32_gflops", "bf16_gflops", "copy_gbps", "read_gbps") for s in ("", "_best")}})
lines.append({"case": "torch train bf16 nchw default", "network": "seg", "threads": 1,
              "run": {"unsupported": "no gradient"}})
open(sys.argv[1] + "/runs.jsonl", "w").writelines(json.dumps(l) + "\n" for l in lines)
PY
python3 "$project/bench/engine_table.py" "$work/out" >"$work/table.md"
python3 - "$work" <<'PY'
import json, sys
work = sys.argv[1]
text = open(work + "/table.md").read()
assert text == open(work + "/out/engine.md").read()
assert "| tiny | f32 | 1 | 100.0 | 250.0 (channels_last) | 2.50x | yes (>= 1.7) | 1.50x | 50 % | " \
       "90 / 200 | yes (<= 0.5) |" in text, text
assert "| 0.67 | yes (<= 0.95) | 50 % | 50 / 100 | **no** (<= 0.4) |" in text, text
assert "| frozen | resnet18 | f32 | 1 | 40.00 | 100.00 | 0.40 | yes (<= 0.45) |" in text, text
assert "no gradient" in text
out = json.load(open(work + "/out/engine.json"))
ratios = {(r["what"], r["network"]): r for r in out["ratios"]}
assert ratios["train", "tiny"]["ratio"] == 2.5 and ratios["train", "tiny"]["reached"]
assert not ratios["infer memory", "tiny"]["reached"]
assert ratios["delta", "tiny"]["ratio"] == 0.25 and "decoded in 33.0 ms" in text
PY
