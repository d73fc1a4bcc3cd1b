#!/usr/bin/env bash
# A server that asks who one is, from the command line: users, codes, cameras, tokens, and what it says to
# those who are none of that.
#   access.sh ATTUNE MODELS
set -uo pipefail
attune=$1 models=$2
. "$(dirname "$0")/expect.sh"
server=
camera=
trap 'kill $server $camera 2>/dev/null; rm -rf "$work"' EXIT

# until TEXT COMMAND...: the output of a command, within 30 s.
until_says() {
    local text=$1
    shift
    for _ in $(seq 300); do
        "$attune" "$@" >"$work/out" 2>&1 && grep -qF -- "$text" "$work/out" && return
        sleep 0.1
    done
    echo "attune $* never said '$text':"
    cat "$work/out" "$work/log"
    bad=1
}

# until_log TEXT FILE
until_log() {
    for _ in $(seq 300); do
        grep -qF -- "$1" "$2" && return
        sleep 0.1
    done
    echo "'$1' never came:"
    cat "$2"
    bad=1
}

read -r https http < <(python3 -c '
import socket
s = [socket.socket() for _ in range(2)]
for i in s: i.bind(("127.0.0.1", 0))
print(*[i.getsockname()[1] for i in s])')
cat >"$work/site.yaml" <<YAML
student: $models/town-student.onnx
teacher: $models/town-teacher.onnx
state: $work/state
listen: 127.0.0.1:$https
http: 127.0.0.1:$http
cameras:
  hall: {source: "town:scenario=demo,camera=1", fps: 2}
YAML
"$attune" server --config "$work/site.yaml" >"$work/log" 2>&1 &
server=$!
until_log "attune server: http port" "$work/log"
local_=(--state "$work/state") url=https://127.0.0.1:$https ca=$work/state/tls/cert.pem

# Nobody is let in; who may open the socket is.
until_log "attune user add NAME" "$work/log"
expect 3 "sign in first, or send a token" status --server "$url" --ca "$ca"
expect 0 "sharing attune" status "${local_[@]}"
expect 0 "sharing attune" status --server "unix:$work/state/control.sock"
expect 3 "no server answers at" user list --state "$work"
echo "short" >"$work/password"
expect 3 "8 to 256 characters" user add ann --role operate --password-file "$work/password" "${local_[@]}"
echo "long enough" >"$work/password"
expect 2 "--role is needed" user add ann --password-file "$work/password" "${local_[@]}"
expect 3 "a role is view or operate, not 'root'" user add ann --role root --password-file "$work/password" "${local_[@]}"
expect 0 "ann may sign in, role view" user add ann --role view --password-file "$work/password" "${local_[@]}"
expect 0 "view" user list "${local_[@]}"
expect 0 "ann may sign in with the new password" user password ann --password-file "$work/password" "${local_[@]}"
expect 2 "say add NAME" user make ann
# Signed in as a user, with a password that is typed; not to who asks from the wrong place.
expect_typed 0 "sharing attune" "password of ann: " "long enough" status --server "$url" --ca "$ca" --user ann
grep -qF "long enough" "$work/out" && { echo "the password was shown"; bad=1; }
expect_typed 3 "this takes the role operate" "password of ann: " "long enough" \
    pause hall --server "$url" --ca "$ca" --user ann
expect_typed 3 "401" "password of ann: " "long enougj" status --server "$url" --ca "$ca" --user ann
expect_typed 3 "no password was given" "password of ann: " $'\003' status --server "$url" --ca "$ca" --user ann
grep -qF "without echo" "$work/out" && { cat "$work/out"; bad=1; }
expect 3 "a script takes a token instead" status --server "$url" --ca "$ca" --user ann
expect 3 "its certificate is not known here; --ca FILE" status --server "$url"
expect 3 "is that address one of http://?" status --server "https://127.0.0.1:$http"
expect 3 "is that address one of https://?" status --server "http://127.0.0.1:$https"
expect 3 "there is no user 'bob'" user password bob --password-file "$work/password" "${local_[@]}"
expect 2 "a name is 1 to 63 of a-z" user add "Ann B" --role view --password-file "$work/password" "${local_[@]}"
expect 2 "a name is 1 to 63 of a-z" access code "../x" "${local_[@]}"
expect 0 "ann may not sign in any more" user remove ann "${local_[@]}"
expect 3 "there is no user 'ann'" user remove ann "${local_[@]}"

# A script's token, with its role and no more.
export ATTUNE_TOKEN
ATTUNE_TOKEN=$("$attune" access token watcher --role view "${local_[@]}")
expect 0 "sharing attune" status --server "$url" --ca "$ca"
expect 3 "this takes the role operate" access code gate --server "$url" --ca "$ca"
expect 3 "in the clear" status --server "http://192.0.2.1:8080"
expect 0 "watcher" access list "${local_[@]}"
expect 0 "the token of script 'watcher' is revoked" access revoke watcher --script "${local_[@]}"
expect 3 "the token 'watcher' was revoked" status --server "$url" --ca "$ca"
unset ATTUNE_TOKEN

# A camera: enrolled once, known by its folder from then on, told when it is revoked.
code=$("$attune" access code gate "${local_[@]}")
expect 3 "this code is for the camera 'gate', not for 'yard'" camera enroll --server "$url" --code "$code" --id yard --state "$work/camera"
echo "$code" >"$work/code"
"$attune" camera enroll --server "$url" --code - --state "$work/camera" <"$work/code" >/dev/null || bad=1
expect 3 "was used, has expired or never was" camera enroll --server "$url" --code "$code" --state "$work/other"
expect 3 "copy it" camera enroll --server "$url" --code ABC --state "$work/other"
expect 2 "was enrolled as 'gate', not as 'yard'" camera --source town:scenario=demo --student "$models/town-student.onnx" \
    --state "$work/camera" --id yard
"$attune" camera --source town:scenario=demo --student "$models/town-student.onnx" --state "$work/camera" \
    --fps 2 >"$work/camera.log" 2>&1 &
camera=$!
until_says "gate " status "${local_[@]}"
until_says "hall " status "${local_[@]}" # the server's own process for it has a token, too
expect 0 "the token of camera 'gate' is revoked" access revoke gate "${local_[@]}"
until_log "the token of camera 'gate' was revoked; enrol the camera again" "$work/camera.log"
kill -0 $camera 2>/dev/null || { echo "the camera gave up"; bad=1; }
expect 3 "there is no enrolled camera 'gate'" access revoke gate "${local_[@]}"
for secret in "$code" attune_ "long enough"; do # in no log
    grep -qF -- "$secret" "$work/log" "$work/camera.log" && { echo "a log has '$secret'"; bad=1; }
done

# Not open to others by mistake.
expect 2 "without auth everybody who reaches the server" server --config "$work/site.yaml" --auth false --listen 0.0.0.0:0
expect 2 "http_insecure" server --config "$work/site.yaml" --http 0.0.0.0:0
exit $bad
