#!/bin/sh
# Finds Chromium, with which one test shows that web pages can sync, or installs it. `make browser` runs this. It prints
# nothing if it is there already.
#
#   deploy/browser.sh find     prints the program; fails if there is none
#   TIDELOG_CHROMIUM=PROGRAM   use this program and no other
set -eu

main() {
    if [ "${1:-}" = find ]; then
        found
        return
    fi
    found >/dev/null && return
    by_apt && found >/dev/null && return
    # Without a browser the test is skipped, and says so.
    echo "make browser: found no Chromium and could not install it ($tried): apt-get install chromium, or name the" \
        "program by TIDELOG_CHROMIUM" >&2
}

found() {
    if [ -n "${TIDELOG_CHROMIUM:-}" ]; then
        command -v "$TIDELOG_CHROMIUM"
        return
    fi
    # `chromium-browser` is left out: on Ubuntu it is a script that asks for a snap.
    command -v chromium || command -v google-chrome || command -v google-chrome-stable ||
        command -v "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
}

by_apt() {
    command -v apt-get >/dev/null || { tried='apt-get: not installed'; return 1; }
    [ "$(id -u)" = 0 ] || { tried='apt-get: not root'; return 1; }
    echo "installing Chromium with apt-get"
    apt_quietly update || true
    apt_quietly install --no-install-recommends chromium
}

# Runs apt-get without questions, and without output unless it fails.
apt_quietly() {
    log=$(DEBIAN_FRONTEND=noninteractive apt-get -y -qq "$@" 2>&1 </dev/null) && return
    tried="apt-get: $(printf '%s\n' "$log" | grep . | tail -n 1)"
    return 1
}

main "$@"
