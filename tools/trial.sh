#!/usr/bin/env bash
# What a new user meets: a fresh Debian 12 with nothing but the packages, the README's steps, a stream
# from outside, the page in a browser. Says how long each step took, from installing to boxes.
#   tools/trial.sh DEBS OUT        DEBS: folder of `make deb`; OUT: the machine, a table, a picture
# Needs root, mmdebstrap, systemd-container, chromium, ffmpeg, GStreamer's RTSP server (tests/video), a built tree in
# build/ and playwright-core (npm ci in web/, or NODE_PATH). The machine shares this one's network.
set -euo pipefail
cd "$(dirname "$0")/.."
debs=$(realpath "$1") out=$(realpath -m "$2") build=${BUILD:-build}
root=$out/machine table=$out/steps.txt
mkdir -p "$out"
: >"$table"

# The machine, the stream: what a new user has already.
[ -d "$out/fresh" ] || mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates \
    bookworm "$out/fresh"
rm -rf "$root"
cp -a "$out/fresh" "$root"
mkdir -p "$root/root/debs"
cp "$debs"/attune*.deb "$root/root/debs"
rm -f "$root"/root/debs/*dbgsym*
if [ ! -f "$out/town/camera0.h264" ]; then
    "$build/src/cmd/attune" synth --out "$out/town" --cameras 1 --seconds 60 --fps 10 --scenario clear --quiet
    ffmpeg -v error -y -i "$out/town/camera0.mp4" -c copy -bsf:v h264_mp4toannexb "$out/town/camera0.h264"
fi
"$build/tests/video/rtsp_server" --auth digest viewer secret /main "codec=file,fps=10,location=$out/town/camera0.h264" >"$out/rtsp.txt" &
rtsp=$!
systemd-nspawn --quiet -D "$root" --boot --register=no --keep-unit >"$out/machine.log" 2>&1 &
nspawn=$!
finish() {
    kill "$rtsp" 2>/dev/null || true
    kill -s RTMIN+4 "${leader:-$nspawn}" 2>/dev/null || true # power off
    wait "$nspawn" 2>/dev/null || true
}
leader=
trap finish EXIT
for _ in $(seq 300); do
    leader=$(pgrep -P "$nspawn" | head -1 || true)
    [ -n "$leader" ] && nsenter -t "$leader" -a systemctl is-system-running 2>/dev/null | grep -qE "running|degraded" && break
    sleep 0.2
done
inside() { nsenter -t "$leader" -a env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb bash -euc "cd /root; $*"; }
port=$(sed -nE 's/^port ([0-9]+).*/\1/p' "$out/rtsp.txt")

# step NAME COMMAND...: its time and what it says
begun=$(date +%s.%N)
step() {
    local name=$1 start=$(date +%s.%N)
    shift
    echo "--- $name" >>"$out/steps.log"
    "$@" >>"$out/steps.log" 2>&1 || { tail -20 "$out/steps.log"; echo "trial: '$name' failed"; exit 1; }
    printf '%-58s %6.1f s\n' "$name" "$(echo "$(date +%s.%N) - $start" | bc)" | tee -a "$table"
}
: >"$out/steps.log"

inside "apt-get update -qq" # the machine's, not ours
begun=$(date +%s.%N)
step "apt install ./attune*.deb" inside "cd debs && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq ./attune_*.deb ./attune-server_*.deb ./attune-models_*.deb"
step "cameras into /etc/attune/attune.yaml" inside "cat >>/etc/attune/attune.yaml <<END
cameras:
  gate-1:
    source: rtsp://viewer:secret@127.0.0.1:$port/main
    fps: 5
END"
step "attune config check" inside "attune config check /etc/attune/attune.yaml"
step "systemctl enable --now attune-server" inside "systemctl enable --now attune-server"
step "attune user add" inside "echo correct-horse | attune user add ann --role operate --state /var/lib/attune --password-file -"
step "page: sign in, see the stream's boxes" node tools/trial_page.mjs https://127.0.0.1:8443 ann correct-horse gate-1 "$out"
printf '%-58s %6.1f s\n' "all" "$(echo "$(date +%s.%N) - $begun" | bc)" | tee -a "$table"

inside "systemctl show attune-server -p Type,StatusText,WatchdogUSec,NRestarts,MemoryCurrent,MainPID; journalctl -u attune-server --no-pager | tail -40; attune status --state /var/lib/attune; ls -la /var/lib/attune" >"$out/afterwards.txt" 2>&1 || true
step "systemctl reload attune-server" inside "systemctl reload attune-server && systemctl is-active attune-server"
step "apt purge: nothing is left" inside "DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq attune-server attune attune-models && [ ! -e /var/lib/attune ] && [ ! -e /etc/attune/attune.yaml ]"
