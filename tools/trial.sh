#!/usr/bin/env bash
# What a new user meets: a fresh Debian 12 with nothing but the packages, the README's steps, a stream from outside,
# the page in a browser; then a second machine that is a camera, and what happens in a service's life: changes,
# crashes, another key, revoked tokens, backups, upgrades, removal. Says how long each step took (docs/trial.md).
#   tools/trial.sh DEBS OUT        DEBS: folder of `make deb`; OUT: the machines, a table, pictures
# Needs root, mmdebstrap, systemd-container, chromium, ffmpeg, GStreamer's RTSP server (tests/video), a built tree in
# build/ and playwright-core (npm ci in web/, or NODE_PATH). The machines share this one's network.
set -euo pipefail
cd "$(dirname "$0")/.."
debs=$(realpath "$1") out=$(realpath -m "$2") build=${BUILD:-build}
table=$out/steps.txt rtsp=
mkdir -p "$out"
: >"$table"
: >"$out/steps.log"
. tools/trial_machine.sh
finish() {
    [ -z "$rtsp" ] || kill "$rtsp" 2>/dev/null || true
    machines_off
}
trap finish EXIT
[ -z "$(ss -Hltn 'sport = :8443')" ] || { echo "something listens on port 8443 already" >&2; exit 1; }

# What a new user has already: a machine, a stream.
packages() { printf "$debs/%s_*.deb\n" "$@"; }
machine_boot server $(packages attune attune-server attune-models)
if [ ! -f "$out/town/camera0.h264" ]; then
    "$build/src/cmd/attune" synth --out "$out/town" --cameras 1 --seconds 60 --fps 10 --scenario clear --quiet
    ffmpeg -v error -y -i "$out/town/camera0.mp4" -c copy -bsf:v h264_mp4toannexb "$out/town/camera0.h264"
fi
"$build/tests/video/rtsp_server" --auth digest viewer secret /main \
    "codec=file,fps=10,location=$out/town/camera0.h264" >"$out/rtsp.txt" &
rtsp=$!
until_so grep -q ^port "$out/rtsp.txt"
stream=rtsp://viewer:secret@127.0.0.1:$(sed -nE 's/^port ([0-9]+).*/\1/p' "$out/rtsp.txt")/main
on server apt-get update -qq # the machine's, not ours

# ---- as a new user ----
begun=$(date +%s.%N)
step "apt install ./attune*.deb" on server "apt-get install -y -qq ./debs/*.deb"
step "cameras into /etc/attune/attune.yaml" on server "cat >>/etc/attune/attune.yaml <<END
cameras:
  gate-1:
    source: $stream
    fps: 5
END"
step "attune config check" on server "attune config check /etc/attune/attune.yaml"
step "systemctl enable --now attune-server" on server "systemctl enable --now attune-server"
step "attune user add" on server "echo correct-horse | attune user add ann --role operate --state /var/lib/attune --password-file -"
step "page: sign in, see the stream's boxes" node tools/trial_page.mjs https://127.0.0.1:8443 ann correct-horse gate-1 "$out"
row "all, from installing to boxes" "$begun"

# ---- what is asked of it from here on ----
state="--state /var/lib/attune"

# server_says EXPRESSION: of c, the cameras by id, and h, its health
server_says() {
    on server "attune status --json $state" 2>/dev/null | python3 -c "
import json, sys
d = json.load(sys.stdin)
c, h = {i['id']: i for i in d['cameras']}, d['health']
sys.exit(not ($1))" 2>/dev/null
}
chunks() { on server "attune status --json $state" | python3 -c "
import json, sys
print(sum(i['chunks'] for i in json.load(sys.stdin)['cameras'] if i['id'] == '$1'))"; }
frames_come() { # CAMERA...: newer ones than there are now
    local camera
    for camera; do until_so server_says "c['$camera']['chunks'] > $(chunks "$camera")"; done
}
property() { on "$1" "systemctl show $2 -p $3 --value"; }
another_process() { [ "$(property "$1" "$2" MainPID)" != "$3" ] && on "$1" "systemctl is-active -q $2"; }
journal_has() { on "$1" "journalctl -u $2 --since '$3' | grep -qE '$4'"; }
now() { date -u '+%F %T UTC'; }

# ---- a computer at a camera ----
unit=attune-camera@yard-1
machine_boot camera $(packages attune attune-camera attune-models)
on camera apt-get update -qq
enrol() {
    local code
    code=$(on server "attune access code yard-1 $state")
    on camera "attune camera enroll --server https://127.0.0.1:8443 --code $code --state /var/lib/attune-camera/yard-1"
}
step "camera's machine: apt install ./attune*.deb" on camera "apt-get install -y -qq ./debs/*.deb"
step "attune access code, attune camera enroll" enrol
step "its file in /etc/attune/camera" on camera "install -m 0640 -g attune /usr/share/doc/attune-camera/examples/camera.env /etc/attune/camera/yard-1.env
sed -i 's|^ATTUNE_SOURCE=.*|ATTUNE_SOURCE=$stream|' /etc/attune/camera/yard-1.env"
step "systemctl enable --now $unit" on camera "systemctl enable --now $unit"
step "its first frames at the server" until_so server_says "c['yard-1']['chunks'] > 0"
step "journalctl ATTUNE_CAMERA=gate-1: events by their fields" on server \
    "journalctl -o json ATTUNE_CAMERA=gate-1 | grep -q '\"ATTUNE_EVENT\"'"

# ---- the server's certificate is not the one that was pinned ----
another_key() {
    local since=$(now)
    on server "systemctl stop attune-server; mv /var/lib/attune/tls /root/tls; systemctl start attune-server"
    until_so journal_has camera $unit "$since" "certificate|pin"
    before=$(chunks yard-1)
    frames_come gate-1
    [ "$(chunks yard-1)" = "$before" ]
    on server "systemctl stop attune-server; rm -r /var/lib/attune/tls; mv /root/tls /var/lib/attune; systemctl start attune-server"
    frames_come yard-1
}
step "another key answers: nothing is sent; with the old one it goes on" another_key

# ---- the token is taken back ----
revoked() {
    local since=$(now)
    on server "attune access revoke yard-1 $state"
    until_so journal_has camera $unit "$since" "revoked"
    before=$(chunks yard-1)
    frames_come gate-1
    [ "$(chunks yard-1)" = "$before" ]
    on camera "systemctl is-active $unit" # it goes on inferring
}
enrolled_again() {
    enrol
    on camera "systemctl restart $unit"
    frames_come yard-1
}
step "attune access revoke: it is told so and infers on, nothing is taken" revoked
step "a new code, enrolled again, restarted, frames come" enrolled_again

# ---- settings ----
reload_good() {
    on server "sed -i 's/fps: 5/fps: 4/' /etc/attune/attune.yaml; systemctl reload attune-server"
    until_so server_says "c['gate-1']['fps'] == 4"
}
reload_broken() {
    local process=$(property server attune-server MainPID) since=$(now)
    on server "cp -p /etc/attune/attune.yaml good.yaml; printf 'cameras2: {}\nfpss: 3\n' >>/etc/attune/attune.yaml"
    not on server "systemctl reload attune-server"
    journal_has server attune-server "$since" "/etc/attune/attune.yaml:[0-9]+:[0-9]+: "
    on server "journalctl -u attune-server --since '$since'; cp -p good.yaml /etc/attune/attune.yaml; systemctl is-active attune-server"
    [ "$(property server attune-server MainPID)" = "$process" ]
    server_says "c['gate-1']['fps'] == 4"
    frames_come gate-1 yard-1
}
step "systemctl reload: a camera's rate is another one" reload_good
step "systemctl reload, broken file: it fails and says where, nothing changes" reload_broken

# ---- it dies, it hangs ----
killed() {
    local process=$(property server attune-server MainPID)
    on server "kill -9 $process"
    until_so another_process server attune-server "$process"
    frames_come gate-1 yard-1
}
camera_killed() {
    local process=$(property camera $unit MainPID)
    on camera "kill -9 $process"
    until_so another_process camera $unit "$process"
    frames_come yard-1
}
hangs() {
    local process since=$(now)
    on server "mkdir -p /run/systemd/system/attune-server.service.d
printf '[Service]\nWatchdogSec=15\n' >/run/systemd/system/attune-server.service.d/trial.conf
systemctl daemon-reload; systemctl restart attune-server"
    process=$(property server attune-server MainPID)
    on server "kill -STOP $process"
    until_so another_process server attune-server "$process"
    journal_has server attune-server "$since" "Watchdog timeout"
    frames_come gate-1 yard-1
    on server "rm -r /run/systemd/system/attune-server.service.d; systemctl daemon-reload; systemctl restart attune-server"
}
step "kill -9 of the server: back, frames of both cameras" killed
step "kill -9 of the camera: back, frames" camera_killed
step "the server hangs (15 s watchdog): back, frames of both cameras" hangs

# ---- backup, and another machine's state ----
restored() {
    on server "systemctl stop attune-server
attune restore backup.tar.zst --state /var/lib/attune --force
systemctl start attune-server
attune user list $state | grep ann"
    frames_come gate-1 yard-1
}
step "attune backup --with-keys while it runs, attune restore --check" on server \
    "attune backup $state --out backup.tar.zst --with-keys; attune restore --check backup.tar.zst"
step "attune restore, start: users, keys, frames of both cameras" restored

# ---- the next version: the same with a higher number ----
next() { # NAME: its packages a version later, in /root/next
    local deb tree=$out/next
    for deb in "$out/$1/root/debs"/*.deb; do
        rm -rf "$tree"
        dpkg-deb -R "$deb" "$tree"
        sed -i -E '/^(Version|Depends|Recommends):/s/\b([0-9]+\.[0-9]+\.[0-9]+)\b/\1+next/' "$tree/DEBIAN/control"
        mkdir -p "$out/$1/root/next"
        dpkg-deb -Znone -b "$tree" "$out/$1/root/next"
    done
    rm -rf "$tree"
}
upgrade() {
    local server_was=$(property server attune-server MainPID) camera_was=$(property camera $unit MainPID)
    on server "sha256sum /etc/attune/attune.yaml >sum; apt-get install -y -qq ./next/*.deb; sha256sum -c sum; dpkg-query -W 'attune*'"
    on camera "apt-get install -y -qq ./next/*.deb; dpkg-query -W 'attune*'"
    until_so another_process server attune-server "$server_was"
    until_so another_process camera $unit "$camera_was"
    on server "attune user list $state | grep ann"
    frames_come gate-1 yard-1
}
next server >/dev/null
next camera >/dev/null
step "apt install the next version: restarted, settings and state kept, frames" upgrade
on server "systemctl show attune-server -p Type,StatusText,WatchdogUSec,NRestarts,MemoryCurrent,MainPID; journalctl -u attune-server
attune status $state; ls -la /var/lib/attune" >"$out/afterwards.txt" 2>&1 || true
on camera "journalctl -u $unit" >>"$out/afterwards.txt" 2>&1 || true

# ---- away with it ----
left() { find / -xdev \( -path /proc -o -path /sys -o -path /root -o -path /var/cache -o -path /var/log \) -prune -o \
    \( -name '*attune*' -o -user attune \) ! -path '/var/lib/dpkg/*' -print; }
removed() {
    on camera "apt-get remove -y -qq attune-camera; [ -f /etc/attune/camera/yard-1.env ]; [ -f /var/lib/attune-camera/yard-1/identity.json ]"
    not on camera "systemctl is-active $unit"
    on server "apt-get remove -y -qq attune-server; [ -f /etc/attune/attune.yaml ]; [ -f /var/lib/attune/attune.db ]"
    not on server "systemctl is-active attune-server"
}
purged() {
    on camera "apt-get purge -y -qq attune-camera attune attune-models; $(declare -f left); left >left.txt; cat left.txt; [ ! -s left.txt ]"
    on server "apt-get purge -y -qq attune-server attune attune-models; $(declare -f left); left >left.txt; cat left.txt; [ ! -s left.txt ]"
}
step "apt remove: stopped; settings and state stay" removed
step "apt purge: nothing of it is left" purged
