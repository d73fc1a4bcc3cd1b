#!/usr/bin/env bash
# What a person does to a running server, from the command line.
#   operate.sh ATTUNE MODELS
set -uo pipefail
attune=$1 models=$2
. "$(dirname "$0")/expect.sh"
server=
trap '[ -n "$server" ] && kill "$server" 2>/dev/null; rm -rf "$work"' EXIT

# start STATE: a server of this folder; $url is where it answers.
start() {
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    url=http://127.0.0.1:$port
    "$attune" server --student "$models/town-student.onnx" --teacher "$models/town-teacher.onnx" \
        --state "$1" --auth false --listen off --http "127.0.0.1:$port" >"$work/log" 2>&1 &
    server=$!
    for _ in $(seq 300); do
        "$attune" status --server "$url" >/dev/null 2>&1 && return
        sleep 0.05
    done
    echo "the server did not come up:"
    cat "$work/log"
    exit 1
}

stop() {
    kill "$server"
    wait "$server" 2>/dev/null
    server=
}

# A camera says hello; nothing of it is trained.
hello() {
    python3 - "$url" "$1" "$models/town-student.onnx" <<'PY'
import hashlib, json, sys, urllib.request
url, camera, student = sys.argv[1:]
body = {"student": hashlib.sha256(open(student, "rb").read()).hexdigest(), "width": 320, "height": 192,
        "fps": 10, "version": 0, "state": "running"}
urllib.request.urlopen(f"{url}/v1/cameras/{camera}/hello", json.dumps(body).encode()).read()
PY
}

start "$work/state"
hello gate || exit 1
at=(--server "$url")
expect 0 "gate: learning is paused; it keeps version 0" pause gate "${at[@]}" --by ann
expect 0 "gate: learning was already paused" pause gate "${at[@]}"
expect 3 "learning of 'gate' is paused; resume it first" retrain gate "${at[@]}"
expect 0 '"paused": true' pause gate "${at[@]}" --json
expect 0 "gate: learning goes on; version 0" resume gate "${at[@]}"
expect 0 "gate: learning was not paused" resume gate "${at[@]}"
expect 0 "gate: training is asked for, request 1" retrain gate "${at[@]}"
expect 0 "manual" explain drift gate "${at[@]}"
expect 0 "camera▼" top --once "${at[@]}"
python3 - "$attune" "$url" <<'PY' || bad=1
# On a terminal: it draws on the other screen, follows the size, and q brings the first one back.
import fcntl, os, pty, select, struct, sys, termios, time
attune, url = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(attune, [attune, "top", "--server", url])
seen = b""
def until(what, seconds=20):
    global seen
    end = time.time() + seconds
    while what not in seen and time.time() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                break
    assert what in seen, (what, seen[-2000:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
until(b"gate")
assert b"\x1b[?1049h" in seen
os.write(fd, b"a")
until("now %▼".encode())
os.write(fd, b"q")
until(b"\x1b[?1049l")
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
PY
expect 0 "what holds it back" explain camera gate "${at[@]}"
expect 2 "say which camera" explain camera
expect 3 "there is no camera 'nobody'" explain camera nobody "${at[@]}"
expect 3 "there is no camera 'nobody' here" pause nobody "${at[@]}"
expect 2 "'../x' is no camera's id" pause ../x "${at[@]}"
expect 2 "say which camera" pause
expect 2 "say which group or camera" model versions
expect 3 "does not answer" pause gate --server http://127.0.0.1:1
expect 0 "group gate is at version 0" model versions gate "${at[@]}"
expect 3 "'gate' is at version 0" model rollback gate "${at[@]}"
expect 3 "version 7 of 'gate' is not kept; there are 0 (" model rollback gate --to 7 "${at[@]}"
expect 3 "there is no group and no camera 'nobody'" model rollback nobody "${at[@]}"
"$attune" pause gate "${at[@]}" --by "a$(printf '\033')[2J" >/dev/null || bad=1

# A backup of the running server is restored beside it, and a server goes on from there.
printf x > "$work/state/models/gate/note"
expect 0 "b.tar.zst: " backup --state "$work/state" --out "$work/b.tar.zst"
[ "$(stat -c %a "$work/b.tar.zst")" = 600 ] || { echo "a backup is for its owner alone"; bad=1; }
tar --zstd -tf "$work/b.tar.zst" | grep -q '^tls/' && { echo "keys are in the backup"; bad=1; }
mkdir "$work/by-hand" && tar --zstd -C "$work/by-hand" -xf "$work/b.tar.zst" &&
    (cd "$work/by-hand" && sha256sum --quiet -c SHA256SUMS) || { echo "not as SHA256SUMS says"; bad=1; }
expect 0 '"chunks": false' backup --state "$work/state" --out "$work/small.tar.zst" --no-chunks --json
expect 2 "--state and --out are needed" backup
expect 3 "no state folder" backup --state "$work/nowhere" --out "$work/n.tar.zst"
expect 0 "whole; " restore --check "$work/b.tar.zst"
expect 3 "is not empty" restore "$work/b.tar.zst" --state "$work/state"
expect 3 "a server is using" restore "$work/b.tar.zst" --state "$work/state" --force
expect 0 "restored to" restore "$work/b.tar.zst" --state "$work/again"
[ -f "$work/again/models/gate/note" ] || { echo "a file is missing"; bad=1; }
stop
start "$work/again"
at=(--server "$url")
expect 0 "gate: learning was already paused" pause gate "${at[@]}"
stop
expect 0 "what was there is in" restore "$work/small.tar.zst" --state "$work/again" --force
size=$(stat -c %s "$work/b.tar.zst")
for keep in 0 1 100 $((size / 2)) $((size - 1)); do
    head -c "$keep" "$work/b.tar.zst" > "$work/torn.tar.zst"
    expect 1 "" restore --check "$work/torn.tar.zst"
    expect 3 "" restore "$work/torn.tar.zst" --state "$work/torn"
    [ ! -e "$work/torn" ] || { echo "something of a torn backup was written"; bad=1; }
done
(trap '' XFSZ; ulimit -f 4; "$attune" backup --state "$work/again" --out "$work/full.tar.zst") > "$work/out" 2>&1
[ $? -eq 3 ] && [ -z "$(ls "$work" | grep full)" ] || { echo "a full disk:"; cat "$work/out"; ls "$work"; bad=1; }
exit $bad
