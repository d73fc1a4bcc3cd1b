# Sourced by the command line's tests: expect(), and where it leaves what a command said.
work=$(mktemp -d)
bad=0

# expect CODE TEXT COMMAND...: the exit code, and TEXT somewhere in the output.
expect() {
    local code=$1 text=$2
    shift 2
    "$attune" "$@" >"$work/out" 2>&1 </dev/null
    local got=$?
    if [ $got -ne "$code" ] || ! grep -qF -- "$text" "$work/out"; then
        echo "attune $*: exit $got, expected $code and '$text':"
        cat "$work/out"
        bad=1
    fi
}
