# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # scripts/setup, which sources this, sets and uses some of the variables
# What this machine must have. Sourced by scripts/setup. Every miss is one sentence and exit 2.

min_disk_kb=8000000
min_shm_kb=65536
min_memory_kb=7000000 # a machine sold with 8 GB shows a little less

check_machine() {
    [ "$(uname -s)" = Linux ] || stop "REKI runs on Linux; this is $(uname -s): use a Linux machine or a virtual one"
    [ "$(uname -m)" = x86_64 ] || stop "REKI needs an x86-64 processor, because Triton's wheel exists for no other; this is $(uname -m)"
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/^glibc //') || glibc=
    [ -n "$glibc" ] || stop "this Linux has no glibc: use Debian 12, Ubuntu 22.04 or newer"
    at_least "$glibc" 2.35 || stop "this Linux has glibc $glibc, and Triton needs 2.35: use Debian 12, Ubuntu 22.04 or newer"
    grep -q avx2 /proc/cpuinfo || stop "this processor has no AVX2, which the embedded LLM needs: use a machine from 2013 or later (on a virtual one, pass the host's CPU type through)"
    memory=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
    [ "$memory" -ge "$min_memory_kb" ] || stop "this machine has $((memory / 1000000)) GB of memory and REKI needs 8 GB: use a larger one"
    [ -w /dev/shm ] || stop "/dev/shm is missing or not writable, and Triton needs it: mount a tmpfs of 64 MB there"
    [ "$(size_kb 2 /dev/shm)" -ge "$min_shm_kb" ] || stop "/dev/shm is smaller than the 64 MB that Triton needs: enlarge it (docker run --shm-size=256m)"
}

# Only where packages are still to be installed: afterwards most of the space is ours.
check_disk() {
    free=$(size_kb 4 "$root")
    [ "$free" -ge "$min_disk_kb" ] || stop "$root has $((free / 1000000)) GB of free disk and set-up needs 8 GB: free some, or clone to a larger disk"
}

# size_kb COLUMN PATH: 2 = size, 4 = free.
size_kb() { df -Pk "$2" | awk -v column="$1" 'NR == 2 { print $column }'; }

# at_least HAVE WANT: compares dotted versions.
at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$2" ]
}

# Prints the first interpreter of a version that Triton's python backend has a stub for.
find_python() {
    for candidate in ${REKI_PYTHON:-python3.11 python3.12 python3 python}; do
        found=$("$candidate" -c '
import struct, sys
if sys.implementation.name == "cpython" and sys.version_info[:2] in ((3, 11), (3, 12)) and struct.calcsize("P") == 8:
    print(sys.executable)' 2>/dev/null) || continue
        if [ -n "$found" ]; then
            printf '%s\n' "$found"
            return 0
        fi
    done
    return 1
}
