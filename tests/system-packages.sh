#!/bin/sh
# Installs, through apt and as root only, what tests and demo need from the system; otherwise says
# how. The argument "demo" asks for what the demo needs only.
set -eu
missing=""
need() { # PROGRAM PACKAGE
    PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null || missing="$missing $2"
}
need etcd etcd-server
if [ "${1:-}" != demo ]; then
    need etcdctl etcd-client
    need nginx nginx-light
    need haproxy haproxy
    need chromium chromium
    need openssl openssl
    need ip iproute2
    need nft nftables
    need gcc gcc
    need curl curl
    need keepalived keepalived
    need systemd-nspawn systemd-container
    [ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"
    # Debian keeps the server's programs off the PATH.
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || need postgres postgresql
    [ -d /usr/share/doc/python3/html ] || missing="$missing python3-doc"
    [ -e /usr/share/doc/git-doc/git.html ] || missing="$missing git-doc"
fi
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "please install:$missing   (Debian and Ubuntu: sudo apt-get install --no-install-recommends$missing)" >&2
    exit 1
fi
# Debian starts a server on installation; a policy of "not now" keeps the ports free.
policy=/usr/sbin/policy-rc.d
# It also makes a database cluster of its own; the tests make theirs.
clusters=/etc/postgresql-common/createcluster.d
made=$clusters/crawler-tests.conf
trap 'rm -f $made; rmdir "$clusters" 2>/dev/null || true' EXIT
mkdir -p "$clusters"
echo 'create_main_cluster = false' >"$made"
if [ ! -e "$policy" ]; then
    made="$made $policy"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi
apt-get update -qq
# Container images leave documentation out by default; documentation sets are a test's input.
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    -o Dpkg::Options::=--path-include=/usr/share/doc/* $missing >/dev/null
