# Sourced by the command line's tests: expect(), and where it leaves what a command said.
work=$(mktemp -d)
bad=0

# expect CODE TEXT COMMAND...: the exit code, and TEXT somewhere in the output.
expect() {
    local code=$1 text=$2
    shift 2
    "$attune" "$@" >"$work/out" 2>&1 </dev/null
    judge $? "$code" "$text" "$@"
}

# expect_typed CODE TEXT PROMPT ANSWER COMMAND...: on a terminal, where ANSWER is typed.
expect_typed() {
    local code=$1 text=$2 prompt=$3 answer=$4
    shift 4
    python3 "$(dirname "$0")/terminal.py" 80 "$prompt" "$answer" -- "$attune" "$@" >"$work/out" 2>&1
    judge $? "$code" "$text" "$@"
}

# judge GOT CODE TEXT COMMAND...
judge() {
    local got=$1 code=$2 text=$3
    shift 3
    if [ $got -ne "$code" ] || ! grep -qF -- "$text" "$work/out"; then
        echo "attune $*: exit $got, expected $code and '$text':"
        cat "$work/out"
        bad=1
    fi
}
