#!/usr/bin/env bash
# The command line: exit codes that scripts can use, errors that name what is wrong, JSON that parses.
#   cli.sh ATTUNE MODELS
set -uo pipefail
attune=$1 models=$2
. "$(dirname "$0")/expect.sh"
trap 'rm -rf "$work"' EXIT

expect 0 "attune demo" --help
expect 2 "First time here?"
expect 2 "no command 'nonsense'" nonsense
expect 2 "no command 'stauts'; did you mean 'status'?" stauts
expect 0 "usage: attune status" help status
expect 2 "no option '--sevrer'; did you mean '--server'?" status --sevrer=x
expect 2 "no verb 'insepct'; did you mean 'inspect'?" model insepct
expect 2 "no verb 'engin'; did you mean 'engine'?" bench engin
expect 3 "an address is http://HOST:PORT" status --server ftp://somewhere
expect 3 "is 'attune server' running there? --server URL" status --server http://127.0.0.1:1
for command in server camera status "model train"; do # all of it, and no line too long
    "$attune" $command --help | tr -s ' \n' '\n' > "$work/words"
    python3 "$(dirname "$0")/terminal.py" 60 -- "$attune" $command --help > "$work/narrow" || bad=1
    tr -s ' \n' '\n' < "$work/narrow" | cmp -s - "$work/words" || { echo "$command --help: words are lost"; bad=1; }
    awk 'length($0) > 60 && $0 ~ /[^ ] +[^ ]/ { print "too long: " $0; bad = 1 } END { exit bad }' "$work/narrow" || bad=1
done
for command in demo server camera access user eval replay config doctor status top explain events pause resume retrain backup restore profile label model synth bench; do
    expect 0 "usage: attune $command" $command --help
done
expect 0 "attune 0." --version
env -u GOMP_SPINCOUNT "$attune" --version | grep -q "^attune 0\." || { echo "the second start, with a short spin, fails"; bad=1; }
expect 2 "--fps takes a number from 0.01 to 240" eval --fps fast
expect 2 "--source, --student and --teacher are needed" eval
expect 2 "--cameras takes a whole number" synth --out "$work/x" --cameras 1.5
expect 3 "no-such.onnx" model inspect "$work/no-such.onnx"
expect 3 "no-such.delta" model delta "$work/no-such.delta"
expect 0 "usage: attune bench engine" bench engine --help
expect 2 "no reference network 'alexnet'" bench engine --networks tiny,alexnet
expect 2 "--cases takes" bench engine --cases learn
expect 2 "computes in f32, bf16 or int8, not in 'bf8'" bench engine --precision bf8
expect 2 "--threads takes" bench engine --threads 1,1000
expect 2 "--mode is train" bench case --mode guess "$work/x.onnx"
expect 2 "a file is needed" bench case
expect 2 "--trainable needs --mode train" bench case --trainable 2 "$work/x.onnx"
expect 3 "none.onnx" bench case "$work/none.onnx"
expect 0 "usage: attune eval --fleet" eval --fleet x --help
expect 3 "no-such.yaml" eval --fleet "$work/no-such.yaml"
expect 2 "there is no policy 'theif'" eval --fleet x --policy none,theif
expect 0 "76.0938" replay --example
expect 2 "--profiles is needed" replay
expect 2 "there is no policy 'theif'" replay --profiles x --policy theif
expect 2 "--gpus takes a number" replay --profiles x --gpus 1,many
expect 2 "--estimates takes profile" replay --profiles x --estimates guess
expect 3 "no-such.csv" replay --profiles "$work/no-such.csv"
echo "city,window" >"$work/thin.csv"
expect 3 "no column 'config'" replay --profiles "$work/thin.csv"
expect 2 "--student, --teacher and --out are needed" profile town:
expect 2 "must rise" profile --student x --teacher x --out "$work/t" --fps 1,0.5 town:
expect 3 "no-such.onnx" profile --student "$work/no-such.onnx" --teacher x --out "$work/t" town:
expect 2 "say what to explain" explain
expect 3 "does not answer" explain schedule --server http://127.0.0.1:1
expect 3 "does not answer" events --server http://127.0.0.1:1 --follow
expect 2 "takes a whole number from 0 on" events --after x
expect 2 "are needed" label export --state "$work"
expect 2 "not 'voc'" label export --state "$work" --out "$work/labels" --format voc
expect 2 "7d ago" label export --state "$work" --out "$work/labels" --since yesterday
expect 3 "is no state folder" label export --state "$work" --out "$work/labels"
echo '{"policy": "attune", "event": "window", "capacity": 2, "left_s": 60, "expected": 0.6,
 "expected_untrained": 0.5, "below_floor": 0, "evaluations": 7, "plan_ms": 0.1, "t_us": 0,
 "cameras": [{"camera": "gate", "accuracy": 0.5, "infer_share": 0.5, "factor": 0.9, "train_share": 1,
  "configuration": "all-3", "option_accuracy": 0.7, "option_sd": 0.1, "compute_s": 4, "start_s": 0,
  "end_s": 4, "expected": 0.6, "why": "train", "reason": "trains because it helps"}],
 "history": []}' >"$work/schedule.json"
expect 0 "trains because it helps" explain schedule --file "$work/schedule.json"
expect 0 "0.50 of 2 processors" explain schedule --file "$work/schedule.json"
echo '{"policy": "ecco", "division": "micro-windows", "window_s": 60, "left_s": 20, "micro_window_s": 7.5,
 "micro_windows": 16, "used": 5, "capacity": 2, "cameras": [], "groups": [{"group": "gate", "cameras": 3,
 "accuracy": 0.5, "share": 0.75, "gain": 0.012, "micro_windows": 4, "trains": true, "why": "train",
 "reason": "has micro-window 5 of this window"}, {"group": "yard", "cameras": 1, "accuracy": null,
 "share": 0.25, "gain": null, "micro_windows": 1, "trains": false, "why": "no-frames",
 "reason": "has nothing new to train on"}]}' >"$work/micro.json"
expect 0 "policy ecco; micro-windows of 7.5 s: 5 of 16" explain schedule --file "$work/micro.json"
expect 0 "75.0              +1.2    4" explain schedule --file "$work/micro.json"
expect 0 "nothing new to train on" explain schedule --file "$work/micro.json"
echo "{}" >"$work/empty.json"
expect 3 "is no schedule" explain schedule --file "$work/empty.json"
expect 2 "takes no name" explain schedule gate
echo '{"grouping": "attune", "sharing": "attune", "division": "micro-windows",
 "groups": [{"id": "gate", "cameras": ["gate", "yard"], "version": 7, "share": 0.6, "gain": 0.02,
 "reason": "waits for a micro-window",
 "accuracy": 0.8, "accuracy_unadapted": 0.5, "versions": 6, "encoded_bytes": 30000, "served": 12,
 "served_bytes": 60000}], "memberships": [{"camera": "yard", "group": "yard", "from_version": 0,
 "since_us": 0, "until_us": 5, "reason": "its own group"}, {"camera": "yard", "group": "gate",
 "from_version": 4, "since_us": 5, "until_us": 0, "reason": "it was tried"}],
 "decided": {"policy": "attune", "trials": 3, "decisions": [{"camera": "yard", "text": "the model fits",
 "t_us": 5, "why": "joined"}], "zoo": [{"model": "gate-v3.snap", "accuracy": 0.7, "added_us": 1,
 "uses": 2}]}}' >"$work/groups.json"
expect 0 "group gate: 2 cameras, version 7, accuracy 80.0 %" explain group --file "$work/groups.json"
expect 0 "sharing attune (micro-windows), grouping attune; 1 group" explain group --file "$work/groups.json"
expect 0 "60.0 % of the training, the next should bring +2.0 points: waits" explain group --file "$work/groups.json"
expect 0 "the model fits" explain group yard --file "$work/groups.json"
expect 0 "it was tried" explain group yard --file "$work/groups.json"
cat > "$work/drift.json" <<'JSON'
{"cameras": [
 {"camera": "gate", "told_s": 3, "state": {"kind": "scene", "since_us": 1795298590000000, "score": 1.8,
   "text": "confidence fell from 0.81 to 0.62, road 40 % -> 22 %"},
  "requests": [{"id": 12, "kind": "scene", "noticed_at": "camera", "t_us": 1795298598000000,
    "since_us": 1795298590000000, "text": "confidence fell", "open": true, "outcome": ""},
   {"id": 2, "kind": "view", "noticed_at": "camera", "t_us": 1795298398000000, "since_us": 1795298390000000,
    "text": "edges are elsewhere", "open": false, "outcome": "joined group north"}]},
 {"camera": "yard", "told_s": null, "state": null, "requests": []}]}
JSON
expect 0 "gate: scene, confidence fell from 0.81 to 0.62, road 40 % -> 22 %, since" explain drift --file "$work/drift.json"
expect 0 "yard: has said nothing yet" explain drift --file "$work/drift.json"
expect 0 "joined group north" explain drift gate --file "$work/drift.json"
expect 3 "no camera 'nobody'" explain drift nobody --file "$work/drift.json"
expect 0 "gate-v3.snap" explain group --file "$work/groups.json"
expect 3 "no camera or group 'dock'" explain group dock --file "$work/groups.json"
expect 3 "no list of groups" explain group --file "$work/empty.json"
expect 3 "is 'attune server' running there" status --server http://127.0.0.1:1
expect 3 "is no status" status --file "$work/empty.json"
expect 3 "no-such.json" status --file "$work/no-such.json"
echo '{"health": {"uptime_s": 300, "worker": "running", "phases": 12, "backlog_chunks": 3, "adapt": true},
 "sharing": "ecco", "division": "micro-windows", "policy": "micro-windows", "grouping": "ecco",
 "cameras": [{"id": "gate", "group": "gate", "state": "running", "accuracy": 0.8, "accuracy_unadapted": 0.5,
  "version": 7, "sampling_fps": 0.4, "up_kbps": 100, "down_kbps": 10, "seen_us": 0},
  {"id": "yard", "group": "gate", "state": "", "accuracy": null, "version": 7, "up_kbps": 20.5}],
 "groups": [{"id": "gate", "share": 0.75}],
 "requests": [{"id": 3, "camera": "yard", "text": "confidence fell"}]}' >"$work/status.json"
expect 0 "up 5 min; sharing ecco (micro-windows), grouping ecco; workers running, 12 trainings" \
    status --file "$work/status.json"
expect 0 "2 cameras in 1 group, accuracy 80.0 % (unadapted 50.0 %); uplink 120 kbit/s, downlink 10; chunks that wait: 3; 1 request open" \
    status --file "$work/status.json"
expect 0 "gate    gate    running          80.0     50.0        7     75.0" \
    status --file "$work/status.json"
expect 0 "confidence fell" status --file "$work/status.json"
expect 0 '"ecco"' status --file "$work/status.json" --json
head -c 3000 "$models/town-student.onnx" >"$work/torn.onnx"
expect 3 "torn.onnx" model inspect "$work/torn.onnx"
expect 3 "" model delta "$work/torn.onnx"
expect 0 "kept as nodes" model inspect "$models/town-student.onnx"
expect 3 "no-such.mp4" eval --source "$work/no-such.mp4" --student "$models/town-student.onnx" \
    --teacher "$models/town-teacher.onnx"

printf 'window_s: 10MB\nperod_s: 1\n' > "$work/wrong.yaml"
printf 'state: %s\nauth: no\nlisten: off\nhttp: 127.0.0.1:0\ncameras:\n  there: {source: "town:width=64,height=64"}\n' \
    "$work/state" > "$work/doctor.yaml"
export ATTUNE_STUDENT="$models/town-student.onnx" ATTUNE_TEACHER="$models/town-teacher.onnx"
expect 0 "student and teacher fit" doctor --config "$work/doctor.yaml"
printf '  gone: {source: "%s"}\n' "$work/no-such.mp4" >> "$work/doctor.yaml"
expect 1 "fail  camera gone" doctor --config "$work/doctor.yaml"
expect 1 '"about": "camera gone"' doctor --config "$work/doctor.yaml" --json
expect 0 "64 x 64" doctor --config "$work/doctor.yaml" --camera there
unset ATTUNE_STUDENT ATTUNE_TEACHER
expect 1 "there is no setting 'perod_s'" doctor --config "$work/wrong.yaml"
"$attune" config example > "$work/attune.yaml"
expect 0 "attune.yaml: good" config check "$work/attune.yaml"
expect 1 "wrong.yaml:1:11: '10MB' is a size, window_s is a time; window_s takes" config check "$work/wrong.yaml"
expect 1 "wrong.yaml:2:1: there is no setting 'perod_s'; did you mean 'period_s'?" config check "$work/wrong.yaml"
expect 2 "wrong.yaml:1:11: " server --config "$work/wrong.yaml"
ATTUNE_WINDOW_S=2min expect 0 "window_s: 120  # environment" config show --origin
expect 0 '"additionalProperties": false' config schema
expect 2 "train_cores takes such a list or auto" server --train-cores 1- --state "$work/server" \
    --student "$models/town-student.onnx" --teacher "$models/town-teacher.onnx"
expect 3 "inference: processor 1023 is not one" camera --cores 1023 --source town: \
    --student "$models/town-student.onnx"
expect 3 "inference has 2 threads" camera --cores 0 --threads 2 --source town: \
    --student "$models/town-student.onnx"

"$attune" model inspect "$models/town-teacher.onnx" --json >"$work/teacher.json" || bad=1
"$attune" model inspect "$models/town-student.onnx" --json >"$work/student.json" || bad=1
python3 - "$work" "$models" <<'PY' || bad=1
# What is promised of the shipped networks: sizes, and a teacher ten times its student.
import json, os, sys
work, models = sys.argv[1:]
student, teacher = (json.load(open(f"{work}/{n}.json")) for n in ("student", "teacher"))
s, t = (m["parameters"]["total"] for m in (student, teacher))
assert s <= 500_000 and t >= 10 * s, (s, t)
assert student["classes"] == teacher["classes"] and len(student["classes"]) == 10
size = sum(os.path.getsize(f"{models}/town-{n}.onnx") for n in ("student", "teacher"))
assert size <= 15_000_000, size
PY
# A detector's boxes: in the results, scored against the town's.
expect 0 "F1 against exact labels" camera --source town:fps=5,seconds=2 --score --results "$work/boxes.jsonl" \
    --student "$models/town-detector-student.onnx" --state "$work/camera"
grep -q '"boxes":\[{"class":"' "$work/boxes.jsonl" || { echo "no boxes in the results"; bad=1; }
grep -q '"f1":0' "$work/boxes.jsonl" || { echo "no F1 in the results"; bad=1; }
exit $bad
