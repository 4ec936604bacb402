# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # scripts/setup, which sources this, sets and uses some of the variables
# How set-up speaks. Sourced by scripts/setup; needs $state (a folder of this clone for logs).

log="$state/setup.log"
worked=no # whether anything had to be done in this run

say() { printf '%s\n' "$*"; }

# One plain sentence that says what is wrong and what to do; 2 = something is missing on this machine.
stop() {
    printf 'set-up: %s\n' "$*" >&2
    exit 2
}

# run LABEL COMMAND...: runs the command with its output in the log and says how long it took.
# On a terminal the seconds tick, so that a long download does not look like a hang.
run() {
    label=$1
    shift
    worked=yes
    printf '\n== %s: %s\n' "$label" "$*" >>"$log"
    begin=$(date +%s)
    "$@" >"$state/setup.step" 2>&1 </dev/null &
    child=$!
    trap 'kill "$child" 2>/dev/null; wait "$child"; printf "\nset-up: interrupted; run it again, it goes on from here\n" >&2; exit 130' INT TERM
    if [ -t 1 ]; then
        while kill -0 "$child" 2>/dev/null; do
            printf '\r  %s ... %s s ' "$label" "$(($(date +%s) - begin))"
            sleep 0.5
        done
    fi
    code=0
    wait "$child" || code=$?
    trap - INT TERM
    cat "$state/setup.step" >>"$log"
    if [ -t 1 ]; then printf '\r'; fi
    if [ "$code" -eq 0 ]; then
        say "  $label: done in $(($(date +%s) - begin)) s   "
    else
        say "  $label: failed after $(($(date +%s) - begin)) s   "
        sed 's/^/    | /' "$state/setup.step" | tail -n 15 >&2
    fi
    return "$code"
}

# Says why the last step failed, in our words, for the causes that a newcomer can mend; else points to the log.
explain() {
    what=$1
    if grep -qi 'no space left on device' "$state/setup.step"; then
        stop "$what failed because the disk is full: free 8 GB, or move the clone or UV_CACHE_DIR to a larger disk"
    elif grep -qiE 'error sending request|failed to fetch|dns error|connection (refused|reset|error)|timed out|name or service not known|temporary failure in name|no route to host|network is unreachable|max retries|no matching distribution|newconnectionerror|tunnel error|invalid peer certificate|[^0-9](401|403|407|502|503)[^0-9]' "$state/setup.step"; then
        stop "$what failed because the package index could not be reached: check the network, or behind a mirror set UV_DEFAULT_INDEX (uv reads neither pip.conf nor PIP_* settings; pip itself reads PIP_INDEX_URL), then run it again"
    elif grep -qiE 'hash mismatch|do not match the hashes' "$state/setup.step"; then
        stop "$what failed because a package does not match its recorded hash: the mirror altered it or the lock is out of date; nothing was installed"
    fi
    stop "$what failed: the reason stands above and in $log"
}
