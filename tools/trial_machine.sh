# Machines for tools/trial.sh: fresh Debians that systemd-nspawn boots, and steps with their times. Sourced.
# Wants: out (folder), table (file). They share this machine's network, and like a real machine let memory be locked.
declare -A leader nspawn

# machine_boot NAME DEB...: from nothing but the packages' files, in /root/debs
machine_boot() {
    local name=$1 root=$out/$1
    shift
    [ -f "$out/fresh/made" ] || { rm -rf "$out/fresh" && mmdebstrap --quiet --variant=minbase \
        --include=systemd,systemd-sysv,dbus,ca-certificates bookworm "$out/fresh" && touch "$out/fresh/made"; }
    rm -rf "$root"
    cp -a "$out/fresh" "$root"
    mkdir -p "$root/root/debs"
    cp "$@" "$root/root/debs"
    systemd-nspawn --quiet -D "$root" --boot --register=no --keep-unit --capability=CAP_IPC_LOCK >"$out/$name.log" 2>&1 &
    nspawn[$name]=$!
    for _ in $(seq 300); do
        leader[$name]=$(pgrep -P "${nspawn[$name]}" | head -1 || true)
        [ -n "${leader[$name]}" ] &&
            nsenter -t "${leader[$name]}" -a systemctl is-system-running 2>/dev/null | grep -qE "running|degraded" && return
        sleep 0.2
    done
    echo "the machine $name does not start: $out/$name.log" >&2
    exit 1
}

machines_off() {
    local name
    for name in "${!nspawn[@]}"; do
        kill -s RTMIN+4 "${leader[$name]:-${nspawn[$name]}}" 2>/dev/null || true # power off
        wait "${nspawn[$name]}" 2>/dev/null || true
    done
}

# on NAME COMMAND...: as root in that machine
on() {
    local name=$1
    shift
    nsenter -t "${leader[$name]}" -a \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb DEBIAN_FRONTEND=noninteractive bash -euc "cd /root; $*"
}

# step NAME COMMAND...: what it says goes to the log, its time to the table. (In a shell of its own: in a condition
# bash would go on after what fails in a function.)
step() {
    local name=$1 start=$(date +%s.%N) failed
    shift
    echo "--- $name" >>"$out/steps.log"
    set +e
    (set -e; "$@") >>"$out/steps.log" 2>&1
    failed=$?
    set -e
    [ $failed = 0 ] || { tail -30 "$out/steps.log"; echo "trial: '$name' failed"; exit 1; }
    row "$name" "$start"
}

# row NAME BEGUN
row() {
    printf '%-72s %6.1f s\n' "$1" "$(echo "$(date +%s.%N) - $2" | bc)" | tee -a "$table"
}

# not COMMAND...: that fails. (A ! of bash's own never ends a shell.)
not() { if "$@"; then return 1; fi; }

# until_so COMMAND...: waits for it, two minutes at most
until_so() {
    local end=$((SECONDS + 120))
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "waited in vain for: $*"; return 1; }
        sleep 0.3
    done
}
