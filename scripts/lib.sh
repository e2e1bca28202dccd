# Shared by the scripts beside it; sourced with the current folder at the project's root.
#
# It finds a Python (and on Debian as root installs what is missing of it), then leaves the rest of the set-up to
# environment.py. Afterwards .venv/bin/python, .venv/bin/xrun and the tools (.venv/bin/python -m ruff ...) are ready.

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

on_debian_as_root() {
    [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null 2>&1
}

# apt_install PACKAGE...: installs the Debian packages that aren't there yet.
apt_install() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    # $missing is a list of words on purpose.
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing ||
        fail "apt-get could not install$missing"
}

# find_python: sets PYTHON to an interpreter of version 3.11 or newer that can make virtual environments.
find_python() {
    incomplete=
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python3.12 python3.13 python3.14; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            PYTHON=$candidate
            return 0
        fi
        incomplete=${incomplete:-$candidate}
    done
    return 1
}

set_up() {
    find_python || {
        ! on_debian_as_root || { apt_install python3 python3-venv && find_python; }
    } || true
    find_python || {
        [ -n "$incomplete" ] && fail "$incomplete can't make virtual environments: its modules venv and ensurepip are needed (Debian: apt-get install python3-venv)"
        fail "Python 3.11 or newer is needed (set PYTHON to its path if it isn't on PATH; Debian: apt-get install python3 python3-venv)"
    }
    "$PYTHON" scripts/environment.py || exit 1
}
