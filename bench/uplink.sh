#!/usr/bin/env bash
# Bandwidth shares by weight: cameras that send through the production client into one link of
# 2 Mbit/s, made of network namespaces, a delay and a token bucket, whose two ends know nothing of it.
#   bench/uplink.sh [BUILD] [FOLDER]    results into FOLDER (default uplink-bench)
# RUNS=10 runs each of LAWS="price aimd none" (none: plain TCP), PARALLEL=5 at a time on links of
# their own; SECONDS_EACH=160. DELAY_MS=10 is the link's delay each way, QUEUE_MS=200 its queue,
# CONGESTION=reno TCP's own control; EXPONENT=1 is aimd's. Weights are 1, 2, 3, 4 (and
# 2) times UNIT=0.4: the four are 1 in the mean, as a server gives them.
# Exit status: 0 when the first law's shares are within 15 % of the weights and 85 % of the link are
# used, with four cameras, with a fifth (weight 2), and after it has left; 1 when not; 77 when this
# machine does not permit namespaces.
set -euo pipefail
build=${1:-build}; out=${2:-uplink-bench}
runs=${RUNS:-10}; laws=${LAWS:-price aimd none}; parallel=${PARALLEL:-5}
seconds=${SECONDS_EACH:-160}; queue_ms=${QUEUE_MS:-200}; kbit=2000; congestion=${CONGESTION:-reno}; delay_ms=${DELAY_MS:-10}
probe=$build/bench/uplink_probe
[ -x "$probe" ] || { echo "uplink.sh: build first: $probe is missing" >&2; exit 2; }

skip() { echo "uplink.sh: skipped: $*" >&2; exit 77; }
command -v ip >/dev/null && command -v tc >/dev/null || skip "ip and tc (iproute2) are needed"
mark=attune$$
ip netns add "$mark-try" 2>/dev/null || skip "network namespaces are not permitted here (root?)"
trap 'ip netns list | cut -d" " -f1 | grep "^$mark-" | xargs -r -n1 ip netns del' EXIT
ip netns exec "$mark-try" tc qdisc add dev lo root tbf rate 2mbit burst 5kb limit 50kb 2>/dev/null ||
    skip "this kernel has no token bucket (tbf)"

# Cameras in namespace c, a router r, the server in s. The bucket is where the router sends: on the
# cameras' own interface TCP would see its queue and keep it short.
make_link() { # NAME; leaves the cable's process in $cable
    local c=$mark-$1c r=$mark-$1r s=$mark-$1s
    ip netns add "$c"; ip netns add "$r"; ip netns add "$s"
    "$probe" link "$r" "$s" "$delay_ms" &
    cable=$!
    ip -n "$c" link add torouter type veth peer name tocameras netns "$r"
    ip -n "$c" addr add 10.77.1.1/24 dev torouter; ip -n "$r" addr add 10.77.1.2/24 dev tocameras
    ip -n "$c" link set torouter up; ip -n "$r" link set tocameras up
    until ip -n "$s" link show tosite >/dev/null 2>&1; do sleep 0.1; done
    ip -n "$r" addr add 10.77.2.1/24 dev toserver; ip -n "$s" addr add 10.77.2.2/24 dev tosite
    ip -n "$r" link set toserver up; ip -n "$s" link set tosite up
    ip -n "$c" route add default via 10.77.1.2; ip -n "$s" route add default via 10.77.2.1
    ip netns exec "$r" sysctl -qw net.ipv4.ip_forward=1
    ip netns exec "$r" tc qdisc add dev toserver root tbf rate ${kbit}kbit burst 5kb latency "${queue_ms}ms"
    ip netns exec "$c" sysctl -qw net.ipv4.tcp_congestion_control="$congestion" ||
        echo "uplink.sh: $congestion is not allowed here, TCP stays as it is" >&2
}
drop_link() { # NAME CABLE
    kill "$2"
    for end in c r s; do ip netns del "$mark-$1$end"; done
}

one_run() { # NAME LAW FOLDER
    local name=$1 law=$2 folder=$3 start cable
    rm -rf "$folder"; mkdir -p "$folder"
    make_link "$name"
    start=$(($(date +%s) + 3))
    ip netns exec "$mark-${name}s" "$probe" sink 10.77.2.2:8443 "$folder" "$start" "$((seconds + 3))" &
    local sink=$! cameras=()
    sleep 1
    for i in 0 1 2 3 4; do
        local weights=(1 2 3 4 2) weight from=0.$((i * 2)) until=$seconds
        weight=$(awk "BEGIN { print ${weights[i]} * ${UNIT:-0.4} }")
        [ "$i" = 4 ] && { from=60; until=112; }
        ip netns exec "$mark-${name}c" "$probe" camera https://10.77.2.2:8443 "$folder" "$i" \
            "$weight" "$law" "${EXPONENT:-1}" "$start" "$from" "$until" "${CHUNK_S:-4}" 2>"$folder/camera-$i.log" &
        cameras+=($!)
    done
    wait "${cameras[@]}" "$sink"
    drop_link "$name" "$cable"
}

list=()
for law in $laws; do
    for run in $(seq "$runs"); do
        while [ "$(jobs -rp | wc -l)" -ge "$parallel" ]; do wait -n; done
        folder=$out/$law-$run
        one_run "$law$run" "$law" "$folder" &
        list+=("$law=$folder")
        sleep 0.7
    done
done
wait
"$probe" report "$out/uplink.png" "$kbit" "${list[@]}" | tee "$out/report.md"
