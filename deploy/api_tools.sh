#!/bin/sh
# Installs the two Python programs that check schema/openapi.json and play it against a server, pinned in
# services/tidelog/tests/openapi/requirements.txt. `make api-tools` runs this. They go into a virtual environment under
# cargo's target directory. It prints nothing if they are there already.
set -eu

cd "$(dirname "$0")/.."
requirements=services/tidelog/tests/openapi/requirements.txt
tools=${CARGO_TARGET_DIR:-target}/api-tools
tried=''

main() {
    cmp -s "$requirements" "$tools/requirements.txt" && return
    rm -rf "$tools"
    mkdir -p "${tools%/*}"
    make_environment || { by_apt && make_environment; } || fail
    echo "installing schemathesis into $tools"
    log=$("$tools/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" 2>&1 </dev/null) || {
        tried="pip: $(last_line)"
        fail
    }
    # Copied last: a directory without it is made once more.
    cp "$requirements" "$tools/requirements.txt"
}

make_environment() {
    command -v python3 >/dev/null || { tried='python3: not installed'; return 1; }
    log=$(python3 -m venv "$tools" 2>&1) || { tried="python3 -m venv: $(last_line)"; rm -rf "$tools"; return 1; }
}

by_apt() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    echo "installing Python with apt-get"
    apt_quietly update || true
    apt_quietly install --no-install-recommends python3 python3-venv
}

# Runs apt-get without questions, and without output unless it fails.
apt_quietly() {
    log=$(DEBIAN_FRONTEND=noninteractive apt-get -y -qq "$@" 2>&1 </dev/null) && return
    tried="apt-get: $(last_line)"
    return 1
}

last_line() {
    printf '%s\n' "$log" | grep . | tail -n 1
}

# Without the tools their tests are skipped, and say so.
fail() {
    rm -rf "$tools"
    echo "make api-tools: could not install schemathesis ($tried): install Python 3 with venv and pip" >&2
    exit 0
}

main
