# The scripts jam and test source this file. It makes .venv once and installs requirements only when
# they have changed.

say() { printf '%s\n' "riffusion: $*" >&2; }
fail() { say "$*"; exit 1; }

python=.venv/bin/python

# PyTorch's threads sleep while they wait for each other. By default they spin, which takes the
# cores away from the browser and, when anything else runs, makes everything ten times slower.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"

# find_python prints the first Python from 3.11 to 3.14 that can make a virtual environment. It runs
# each candidate, because a name on the PATH may be a launcher without an interpreter behind it.
find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
        if "$candidate" -c '
import sys
assert (3, 11) <= sys.version_info < (3, 15)
import ensurepip, venv' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "needs Python 3.11 to 3.14 with venv, and found none. Install it and start again:
  Debian, Ubuntu: apt-get install python3 python3-venv
  macOS:          brew install python@3.13
  other systems:  see the downloads on python.org"
}

# make_environment makes .venv where it is missing or broken.
make_environment() {
    if [ -x "$python" ] && "$python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    found=$(find_python) || exit 1
    say "making .venv with $("$found" --version)"
    "$found" -m venv --clear .venv || fail "could not make .venv here; is the disk full?"
}

# install FILE... installs requirements in one pip call, so that versions are chosen together. It
# keeps a copy of each installed file and installs again when a file differs from its copy.
install() {
    stale=
    for file in "$@"; do
        cmp -s "$file" ".venv/installed/$file" || stale="$stale $file"
    done
    [ -n "$stale" ] || return 0
    say "installing$stale (the first time takes some minutes)"
    options=
    for file in "$@"; do
        options="$options -r $file"
    done
    # Unquoted on purpose: the names are ours and have no spaces.
    # shellcheck disable=SC2086
    "$python" -m pip install --disable-pip-version-check $options \
        || fail "the installation stopped; what it says above is the reason. Start again to go on."
    mkdir -p .venv/installed
    cp "$@" .venv/installed/
}
