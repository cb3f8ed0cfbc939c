#!/bin/sh
# Installs, through apt and as root only, the servers that tests and demo run; otherwise says how.
set -eu
missing=""
for pair in etcd:etcd-server nginx:nginx-light; do
    PATH="$PATH:/usr/sbin" command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "please install:$missing   (Debian and Ubuntu: sudo apt-get install --no-install-recommends$missing)" >&2
    exit 1
fi
# Debian starts a server on installation; a policy of "not now" keeps the ports free.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
