# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # scripts/setup, which sources this, sets and uses some of the variables
# uv and the two environments. Sourced by scripts/setup.

uv_oldest=0.13.0 # older ones were not tried with these locks
export UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1 UV_NO_PROGRESS=1
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-120}"
# `uv pip` would take a stale active environment for the target.
unset VIRTUAL_ENV CONDA_PREFIX

# Sets $uv: the one on PATH if it is new enough, else a private one from locks/uv.txt, got with pip.
find_uv() {
    uv=$(command -v uv 2>/dev/null) || uv=
    if [ -n "$uv" ]; then
        have=$("$uv" --version 2>/dev/null | awk '{ print $2 }') || have=
        if [ -n "$have" ] && at_least "$have" "$uv_oldest"; then return 0; fi
    fi
    uv="$state/uv/bin/uv"
    if "$uv" --version >/dev/null 2>&1; then return 0; fi
    for pip_python in "$python" python3 python; do
        if "$pip_python" -m pip --version >/dev/null 2>&1; then
            rm -rf "$state/uv"
            run "uv (package installer)" "$pip_python" -m pip install --quiet --disable-pip-version-check --no-deps \
                --require-hashes --only-binary :all: --target "$state/uv" -r locks/uv.txt || explain "fetching uv"
            "$uv" --version >/dev/null 2>&1 || stop "uv was installed into $state/uv but does not run: see $log"
            return 0
        fi
    done
    stop "neither uv $uv_oldest or newer nor pip was found: install pip (on Debian and Ubuntu the package python3-pip), or uv, and run it again"
}

# What of pyproject.toml makes an environment: all that stands above the settings of lint and tests.
project() { sed '/^\[tool\.ruff\]/,$d' pyproject.toml; }

# digest TEXT FILE...: names a state of the inputs.
digest() {
    { printf '%s\n' "$1"; shift; cat "$@"; } | sha256sum | cut -d ' ' -f 1
}

# environment FOLDER LOCK TITLE: makes or completes an environment. The stamp lies inside it, so that it goes with it,
# and is written last, so that an interrupted run goes on.
environment() {
    folder=$1 lock=$2 title=$3
    # A moved clone has dead addresses in its scripts: the path belongs to the state.
    wanted=$(digest "$root $folder $(project)" "$lock")
    if [ "$(cat "$folder/reki-stamp" 2>/dev/null)" = "$wanted" ] && "$folder/bin/python" -c '' 2>/dev/null; then
        return 0
    fi
    check_disk_for "$folder"
    rm -f "$folder/reki-stamp"
    if ! "$folder/bin/python" -c '' 2>/dev/null; then
        run "$title: environment" "$uv" venv --quiet --clear --python "$python" "$folder" || explain "making $folder"
    fi
    run "$title: packages of $lock" "$uv" pip sync --python "$folder/bin/python" --require-hashes --no-build \
        --compile-bytecode "$lock" || explain "installing the packages of $lock"
    run "$title: reki itself" "$uv" pip install --python "$folder/bin/python" --offline --no-deps \
        --no-build-isolation --editable . || explain "installing reki into $folder"
    printf '%s\n' "$wanted" >"$folder/reki-stamp"
}

check_disk_for() {
    # An environment that is there already needs little more.
    [ -d "$1/lib" ] || check_disk
}
